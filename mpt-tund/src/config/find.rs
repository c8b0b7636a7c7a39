//! Which file an argument means, and what an interface may be called.

use super::problem::ConfigError;
use std::path::{Path, PathBuf};

/// Environment variable that moves the configuration directory.
pub const CONF_DIR_VARIABLE: &str = "MPT_CONF_DIR";

/// Where names are looked up: `/etc/mpt`, or what `MPT_CONF_DIR` says.
#[must_use]
pub fn conf_dir() -> PathBuf {
    std::env::var_os(CONF_DIR_VARIABLE)
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| PathBuf::from("/etc/mpt"), PathBuf::from)
}

/// The file that `argument` means: a path when it has a slash or ends in `.yaml` or `.yml`, else
/// a name in the configuration directory (`wan0` is `/etc/mpt/wan0.yaml`).
///
/// # Errors
/// When there is no such file.
pub fn find(argument: &str) -> Result<PathBuf, ConfigError> {
    find_in(argument, &conf_dir())
}

fn find_in(argument: &str, conf_dir: &Path) -> Result<PathBuf, ConfigError> {
    let is_path =
        argument.contains('/') || [".yaml", ".yml"].iter().any(|suffix| argument.ends_with(suffix));
    let file =
        if is_path { PathBuf::from(argument) } else { conf_dir.join(format!("{argument}.yaml")) };
    if file.exists() {
        return Ok(file);
    }
    let here = Path::new(argument);
    let remedy = if !is_path && here.exists() {
        format!("; to use the file of that name here, write ./{argument}")
    } else if is_path {
        format!("; a name without slash and .yaml is looked up in {}", conf_dir.display())
    } else {
        match yaml_stems(conf_dir) {
            names if names.is_empty() => {
                format!("; {} holds no configuration", conf_dir.display())
            }
            names => format!("; there are: {}", names.join(", ")),
        }
    };
    Err(ConfigError::whole(&file, format!("there is no such file{remedy}")))
}

/// Names of the configurations in `dir`, sorted.
fn yaml_stems(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

/// Whether the kernel takes `name` for an interface.
///
/// # Errors
/// Why not.
pub fn valid_interface_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 15 {
        return Err(format!("`{name}` has {} bytes; an interface's name has 1 to 15", name.len()));
    }
    // The kernel keeps settings for all interfaces, and for new ones, where it would keep those of the last two.
    if [".", "..", "all", "default"].contains(&name) {
        return Err(format!("an interface cannot be called `{name}`"));
    }
    match name.chars().find(|c| !c.is_ascii_graphic() || ['/', ':', '%'].contains(c)) {
        Some(c) => Err(format!("`{name}`: an interface's name cannot hold {c:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_paths_are_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("wan0.yaml"), "").unwrap();
        assert_eq!(find_in("wan0", dir.path()).unwrap(), dir.path().join("wan0.yaml"));
        let there = dir.path().join("wan0.yaml");
        assert_eq!(find_in(there.to_str().unwrap(), Path::new("/nowhere")).unwrap(), there);
        let error = find_in("wan1", dir.path()).unwrap_err().to_string();
        assert!(error.contains("wan1.yaml: there is no such file; there are: wan0"), "{error}");
        let error = find_in("wan0.yaml", dir.path()).unwrap_err().to_string();
        assert!(error.contains("wan0.yaml: there is no such file; a name without"), "{error}");
        let error = find_in("x", Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("/nowhere holds no configuration"), "{error}");
    }

    #[test]
    fn interface_names() {
        for good in ["a", "wan0", "eth0.100", "abcdefghijklmno"] {
            assert_eq!(valid_interface_name(good), Ok(()));
        }
        for bad in [
            "",
            ".",
            "..",
            "all",
            "default",
            "a/b",
            "a b",
            "abcdefghijklmnop",
            "wän",
            "a:1",
            "mpt%d",
        ] {
            assert!(valid_interface_name(bad).is_err(), "{bad}");
        }
    }
}
