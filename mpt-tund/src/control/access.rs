//! Who may use the control socket.

use tokio::net::unix::UCred;

/// The group whose members may.
const GROUP: &str = "mpt";

/// Root, this user, and one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    own_user: u32,
    /// The group's number; `None` where there is no such group.
    members: Option<u32>,
}

impl Access {
    /// The group is `mpt` where there is one, else root's.
    pub(super) fn of_this_machine() -> Self {
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        Self { own_user: own_user(), members: group_id(&groups, GROUP) }
    }

    /// The socket's group.
    pub(super) fn group(self) -> u32 {
        self.members.unwrap_or(0)
    }

    /// Whether whoever has these credentials may ask.
    ///
    /// # Errors
    /// One line that says why not.
    pub(super) fn judge(self, credentials: &UCred) -> Result<(), String> {
        let supplementary = || {
            let pid = credentials.pid()?;
            std::fs::read_to_string(format!("/proc/{pid}/status")).ok()
        };
        if self.allows(credentials.uid(), credentials.gid(), supplementary) {
            return Ok(());
        }
        let remedy = match self.members {
            Some(_) => {
                format!("join the group `{GROUP}` (`usermod -aG {GROUP} USER`, then log in again)")
            }
            None => format!(
                "make a group `{GROUP}` for those who may (`groupadd -r {GROUP}`) and restart the daemon"
            ),
        };
        Err(format!("user {} may not use this socket; be root, or {remedy}", credentials.uid()))
    }

    /// `status` is the text of the process's `/proc/PID/status`, asked for only when it decides.
    fn allows(self, user: u32, group: u32, status: impl FnOnce() -> Option<String>) -> bool {
        user == 0
            || user == self.own_user
            || group == self.group()
            || status().is_some_and(|text| supplementary_groups(&text).any(|g| g == self.group()))
    }
}

/// Effective user of this process: the owner of its directory in `/proc`.
fn own_user() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid())
}

/// The number of group `name` in the text of `/etc/group`.
fn group_id(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// The line `Groups:` of a `/proc/PID/status`.
fn supplementary_groups(status: &str) -> impl Iterator<Item = u32> + '_ {
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    line.split_whitespace().filter_map(|group| group.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found() {
        let groups = "root:x:0:\nmptx:x:5:\nmpt:x:990:ann,bob\n";
        assert_eq!(group_id(groups, "mpt"), Some(990));
        assert_eq!(group_id(groups, "mp"), None);
        let status = "Name:\tcat\nGid:\t7\t7\t7\t7\nGroups:\t4 24 990 \nNStgid:\t1\n";
        assert!(supplementary_groups(status).eq([4, 24, 990]));
    }

    #[test]
    fn root_this_user_and_the_group_may() {
        let access = Access { own_user: 500, members: Some(990) };
        let none = || None;
        assert!(access.allows(0, 7, none));
        assert!(access.allows(500, 7, none));
        assert!(access.allows(1000, 990, none));
        assert!(access.allows(1000, 7, || Some("Groups:\t4 990\n".to_owned())));
        assert!(!access.allows(1000, 7, || Some("Groups:\t4 99\n".to_owned())));
        assert!(!access.allows(1000, 7, none));
    }
}
