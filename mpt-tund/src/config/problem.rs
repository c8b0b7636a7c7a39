//! What is wrong with a configuration.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line and column of the offending key or value, from 1; `None` when it is the whole file.
    pub place: Option<(usize, usize)>,
    /// What is wrong, what was expected, what to do.
    pub message: String,
}

/// Everything that is wrong with a configuration file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// The whole of `file` is wrong.
    pub(super) fn whole(file: &Path, message: String) -> Self {
        Self { file: file.to_owned(), problems: vec![Problem { place: None, message }] }
    }
}

/// One line a problem, `FILE:LINE:COLUMN: MESSAGE`, as compilers write it.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file.display())?;
            if let Some((line, column)) = problem.place {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
