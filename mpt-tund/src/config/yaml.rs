//! YAML text as a tree, and the place in the text of any node of it.

use super::not_yaml::not_yaml;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess,
};
use std::fmt;

/// A YAML value. Maps keep their order, and keys that occur twice, so that those can be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Yaml {
    Nothing,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Yaml {
    /// What it is, for "expected …, found …".
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Bool(b) => format!("`{b}`"),
            Self::Int(n) => format!("the number {n}"),
            Self::Float(n) => format!("the number {n}"),
            Self::Text(t) => format!("`{t}`"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

/// The tree of `text`, or where it stops to be YAML and why.
pub(super) fn parse(text: &str) -> Result<Yaml, (Option<(usize, usize)>, String)> {
    serde_yaml::from_str(text).map_err(|e| {
        if let Some((place, c)) = control_character(text) {
            return (Some(place), format!("text cannot hold {c:?}; is it the right file?"));
        }
        let place = e.location().map(|l| (l.line(), l.column()));
        if let (None, Some(line)) = (place, second_document(text)) {
            let message = "a second document begins here; a configuration is one, leave `---` out";
            return (Some((line, 1)), message.to_owned());
        }
        (place, not_yaml(text, place, &e.to_string()))
    })
}

/// The first character that YAML does not allow: the parser tells no line of it.
fn control_character(text: &str) -> Option<((usize, usize), char)> {
    text.split('\n').enumerate().find_map(|(line, content)| {
        let wrong = |c: &char| c.is_control() && !matches!(c, '\t' | '\r' | '\u{85}');
        let (column, c) = content.chars().enumerate().find(|(_, c)| wrong(c))?;
        Some(((line + 1, column + 1), c))
    })
}

/// The line of the `---` that stands between two documents: the parser tells none.
fn second_document(text: &str) -> Option<usize> {
    let begun = |line: &str| !line.trim().is_empty() && !line.starts_with(['#', '%']);
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| !begun(line)).skip(1);
    let (line, _) = lines.find(|(_, line)| line.starts_with("---"))?;
    serde_yaml::Deserializer::from_str(text).nth(1).map(|_| line + 1)
}

/// The way from the root to a node: at each map or list, the number of the entry.
pub(super) type Way = [usize];

/// Which part of a map's entry is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    Key,
    Value,
}

/// Line and column, from 1, of the node at the end of `way` (or of its key); where there is none, of
/// the node above.
pub(super) fn locate(text: &str, way: &Way, part: Part) -> Option<(usize, usize)> {
    let finder = Finder { way, part };
    let found = finder.deserialize(serde_yaml::Deserializer::from_str(text)).err()?.location()?;
    Some((found.line(), found.column()))
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> de::Visitor<'de> for TreeVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value, a list or a map")
    }
    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Nothing)
    }
    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Nothing)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Yaml, E> {
        Ok(Yaml::Int(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Yaml, E> {
        Ok(Yaml::Int(v.into()))
    }
    fn visit_i128<E>(self, v: i128) -> Result<Yaml, E> {
        Ok(Yaml::Int(v))
    }
    fn visit_u128<E>(self, v: u128) -> Result<Yaml, E> {
        Ok(Yaml::Int(i128::try_from(v).unwrap_or(i128::MAX)))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Yaml, E> {
        Ok(Yaml::Float(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(v.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Yaml::Map(entries))
    }
}

/// Walks the text along a way and raises an error at its end: the parser adds where it stands.
#[derive(Clone, Copy)]
struct Finder<'a> {
    way: &'a Way,
    part: Part,
}

impl<'de> DeserializeSeed<'de> for Finder<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Finder<'_> {
    /// A leaf. On a right way it is the goal; on a wrong one, any place is better than none.
    fn here<E: de::Error>(self) -> Result<(), E> {
        Err(E::custom("here"))
    }
}

impl<'de> de::Visitor<'de> for Finder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value looked for")
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.here()
    }
    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.here()
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.here()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.here()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.here()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.here()
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.here()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((&entry, way)) = self.way.split_first() else { return self.here() };
        for _ in 0..entry {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return self.here();
            }
        }
        seq.next_element_seed(Finder { way, part: self.part })?;
        self.here()
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((&entry, way)) = self.way.split_first() else { return self.here() };
        for _ in 0..entry {
            if map.next_entry::<IgnoredAny, IgnoredAny>()?.is_none() {
                return self.here();
            }
        }
        if way.is_empty() && self.part == Part::Key {
            map.next_key_seed(Finder { way, part: Part::Value })?;
        } else if map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Finder { way, part: self.part })?;
        }
        self.here()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a: 1\nb:\n  - {x: one, y: [2, \"three\"]}\n  - x: ~\n    é: &anchor 5\n    z: {}\n    w: *anchor\n";

    #[test]
    fn a_tree_keeps_order_and_kinds() {
        let Yaml::Map(root) = parse(TEXT).unwrap() else { panic!("not a map") };
        assert_eq!(root[0], ("a".to_owned(), Yaml::Int(1)));
        let Yaml::List(b) = &root[1].1 else { panic!("not a list") };
        let Yaml::Map(second) = &b[1] else { panic!("not a map") };
        assert_eq!(second[0], ("x".to_owned(), Yaml::Nothing));
        assert_eq!(second[3], ("w".to_owned(), Yaml::Int(5)));
    }

    #[test]
    fn every_node_is_found_where_it_stands() {
        let value = |way: &Way| locate(TEXT, way, Part::Value);
        let key = |way: &Way| locate(TEXT, way, Part::Key);
        assert_eq!(value(&[0]), Some((1, 4)));
        assert_eq!(key(&[1]), Some((2, 1)));
        assert_eq!(value(&[1, 0]), Some((3, 5)));
        assert_eq!(key(&[1, 0, 1]), Some((3, 14)));
        assert_eq!(value(&[1, 0, 1, 1]), Some((3, 21)));
        assert_eq!(value(&[1, 1, 0]), Some((4, 8)));
        assert_eq!(value(&[1, 1, 1]).map(|p| p.0), Some(5));
        assert_eq!(value(&[1, 1, 2]), Some((6, 8)));
        assert_eq!(key(&[1, 1, 3]), Some((7, 5)));
        assert_eq!(value(&[1, 0, 7, 7]), Some((3, 5)), "no such node: the nearest above");
    }

    #[test]
    fn broken_yaml_says_where() {
        let (place, message) = parse("a: [1, 2\nb: 3\n").unwrap_err();
        assert_eq!(place.map(|p| p.0), Some(2), "{message}");
        assert!(parse("a:\n\tb: 3\n").unwrap_err().1.contains("spaces"));
        let (place, message) = parse("a: 1\nb: \0\n").unwrap_err();
        assert_eq!(place, Some((2, 4)), "{message}");
        assert!(message.contains("cannot hold '\\0'"), "{message}");
        let (place, message) = parse("# one\n---\na: 1\n---\nb: 2\n").unwrap_err();
        assert_eq!(place, Some((4, 1)), "{message}");
        assert!(message.contains("leave `---` out"), "{message}");
    }
}
