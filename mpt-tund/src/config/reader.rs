//! Walks a YAML tree, noting problems as it goes.

use super::problem::Problem;
use super::yaml::{Part, Yaml, locate};
use std::cell::RefCell;

/// So many problems are told; to find the place of each, the text is read once more.
const MOST_TOLD: usize = 50;

/// The problems met so far, each with the way to what has it.
#[derive(Default)]
pub(super) struct Problems(RefCell<Vec<(Vec<usize>, Part, String)>>);

impl Problems {
    /// In the order of the text, with lines and columns.
    pub(super) fn located(self, text: &str) -> Vec<Problem> {
        let mut met = self.0.into_inner();
        // Ways are in the order of the text.
        met.sort();
        met.dedup();
        let more = met.len().saturating_sub(MOST_TOLD);
        met.truncate(MOST_TOLD);
        let located = |(way, part, message): (Vec<_>, _, _)| Problem {
            place: locate(text, &way, part),
            message,
        };
        let mut list: Vec<_> = met.into_iter().map(located).collect();
        list.sort();
        list.dedup();
        if more > 0 {
            list.push(Problem { place: None, message: format!("and {more} more problems") });
        }
        list
    }
}

/// A value, the way to it, and where to note its problems.
#[derive(Clone)]
pub(super) struct Node<'a> {
    value: &'a Yaml,
    /// The key it stands under, for messages; of a list's entry, the list's.
    name: &'a str,
    way: Vec<usize>,
    problems: &'a Problems,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Yaml, problems: &'a Problems) -> Self {
        Self { value, name: "", way: Vec::new(), problems }
    }

    /// The value itself.
    pub(super) fn value(&self) -> &'a Yaml {
        self.value
    }

    /// Notes a problem of this value.
    pub(super) fn fail(&self, message: impl Into<String>) {
        self.note(Part::Value, message.into());
    }

    /// Notes a problem of this value's key.
    pub(super) fn fail_key(&self, message: impl Into<String>) {
        self.note(Part::Key, message.into());
    }

    fn note(&self, part: Part, message: String) {
        let message =
            if self.name.is_empty() { message } else { format!("`{}`: {message}", self.name) };
        self.problems.0.borrow_mut().push((self.way.clone(), part, message));
    }

    /// What `parse` makes of the value; its complaint is noted.
    pub(super) fn read<T>(&self, parse: impl FnOnce(&'a Yaml) -> Result<T, String>) -> Option<T> {
        parse(self.value).map_err(|message| self.fail(message)).ok()
    }

    /// The value as a list.
    pub(super) fn list(&self, of: &str) -> Option<Vec<Self>> {
        let Yaml::List(items) = self.value else {
            self.fail(format!("expected a list of {of}, found {}", self.value.kind()));
            return None;
        };
        Some(items.iter().enumerate().map(|(i, item)| self.child(i, item, self.name)).collect())
    }

    /// The value as a list, or itself where it is no list.
    pub(super) fn list_or_one(&self) -> Vec<Self> {
        match self.value {
            Yaml::List(_) => self.list("").unwrap_or_default(),
            _ => vec![self.clone()],
        }
    }

    /// The value as a map that knows only these `keys`; others are noted, with the nearest one.
    pub(super) fn map(&self, keys: &'static [&'static str]) -> Option<Map<'a>> {
        let Yaml::Map(entries) = self.value else {
            self.fail(format!(
                "expected a map with the keys {}; found {}",
                keys.join(", "),
                self.value.kind()
            ));
            return None;
        };
        for (i, (key, value)) in entries.iter().enumerate() {
            let entry = self.child(i, value, "");
            if !keys.contains(&key.as_str()) {
                entry.fail_key(match nearest(key, keys) {
                    Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
                    None => format!("unknown key `{key}`; known here: {}", keys.join(", ")),
                });
            } else if entries[..i].iter().any(|(earlier, _)| earlier == key) {
                entry.fail_key(format!("`{key}` stands here a second time; leave one out"));
            }
        }
        Some(Map { node: self.clone(), entries })
    }

    fn child(&self, number: usize, value: &'a Yaml, name: &'a str) -> Self {
        let mut way = self.way.clone();
        way.push(number);
        Self { value, name, way, problems: self.problems }
    }
}

/// A map of the tree.
pub(super) struct Map<'a> {
    node: Node<'a>,
    entries: &'a [(String, Yaml)],
}

impl<'a> Map<'a> {
    /// The map itself, to note problems of the whole.
    pub(super) fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// The value under `key`.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let (number, (name, value)) =
            self.entries.iter().enumerate().find(|(_, (name, _))| name == key)?;
        Some(self.node.child(number, value, name))
    }

    /// The value under `key`; that it is missing is noted, with an `example` of it.
    pub(super) fn require(&self, key: &str, example: &str) -> Option<Node<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.node.fail(format!("`{key}` is missing here; for example `{example}`"));
        }
        found
    }

    /// What `parse` makes of the value under `key`; `None` when there is none or it is wrong.
    pub(super) fn read<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&'a Yaml) -> Result<T, String>,
    ) -> Option<T> {
        self.get(key)?.read(parse)
    }
}

/// The one of `words` that `word` was most likely meant to be.
pub(super) fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase().replace('-', "_");
    words
        .iter()
        .map(|w| (strsim::damerau_levenshtein(&word, &w.replace('-', "_")), *w))
        .filter(|(distance, w)| *distance <= 1 + w.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, w)| w)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_pen_are_understood() {
        let keys = ["weight", "priority", "remote", "local", "local_port"];
        assert_eq!(nearest("wieght", &keys), Some("weight"));
        assert_eq!(nearest("Local-Port", &keys), Some("local_port"));
        assert_eq!(nearest("remotes", &keys), Some("remote"));
        assert_eq!(nearest("colour", &keys), None);
    }
}
