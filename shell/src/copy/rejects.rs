//! Rows that were not written: kept as they were, so that they can be mended and imported; the first ones are told.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::CopyError;
use super::options::CopyCommand;
use crate::csv::Record;

/// Most rows whose reason is told.
const MAX_TOLD: u64 = 10;

/// The file of rows that were not written; it is made with the first of them.
#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    writer: Option<BufWriter<File>>,
    count: u64,
}

impl Rejects {
    pub(super) fn new(copy: &CopyCommand, keyspace: Option<&str>) -> Rejects {
        let keyspace = copy.keyspace.as_ref().map(|name| name.as_str()).or(keyspace);
        // A name may hold anything, even a slash.
        let word = |name: &str| name.replace(|c: char| !c.is_alphanumeric() && c != '_', "_");
        let path = copy.options.error_file.clone().unwrap_or_else(|| {
            let keyspace = word(keyspace.unwrap_or_default());
            PathBuf::from(format!("import_{keyspace}_{}.err", word(copy.table.as_str())))
        });
        Rejects { path, writer: None, count: 0 }
    }

    /// Keeps a row; what to tell of it, if anything.
    pub(super) fn add(
        &mut self,
        record: &Record,
        place: &str,
        reason: &str,
    ) -> Result<Option<String>, CopyError> {
        let failed = |path: &PathBuf, source| CopyError::File {
            action: "write the rejected rows to",
            file: path.display().to_string(),
            source,
        };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let (path, file) =
                    new_file(&self.path).map_err(|error| failed(&self.path, error))?;
                self.path = path;
                self.writer.insert(BufWriter::new(file))
            }
        };
        let written = writer.write_all(&record.raw).and_then(|()| writer.write_all(b"\n"));
        written.map_err(|error| failed(&self.path, error))?;
        self.count += 1;
        Ok(match self.count {
            1..=MAX_TOLD => Some(format!("{place}: {reason}")),
            count if count == MAX_TOLD + 1 => {
                Some("further rejected rows are not shown".to_string())
            }
            _ => None,
        })
    }

    /// Writes the file to its end; its name, if there is one.
    pub(super) fn finish(&mut self) -> Result<Option<String>, CopyError> {
        let Some(writer) = &mut self.writer else { return Ok(None) };
        let file = self.path.display().to_string();
        match writer.flush() {
            Ok(()) => Ok(Some(file)),
            Err(source) => {
                Err(CopyError::File { action: "write the rejected rows to", file, source })
            }
        }
    }
}

/// A new file of that name, or with a number behind it: what an import before rejected may not be mended yet, or be what
/// is imported just now.
fn new_file(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut name = path.to_path_buf();
    for number in 2.. {
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut next = path.as_os_str().to_owned();
                next.push(format!(".{number}"));
                name = next.into();
            }
            opened => return opened.map(|file| (name, file)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rejected_rows_are_kept_as_they_were() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("rows.err");
        let text = format!("COPY k.t FROM 'a.csv' WITH ERRFILE = '{}'", path.display());
        let copy = CopyCommand::parse(&text).expect("a command");
        let mut rejects = Rejects::new(&copy, None);
        assert_eq!(rejects.finish().expect("nothing to do"), None);
        let told: Vec<_> = (0..12)
            .map(|_| {
                let record = Record { raw: b"\"a,b\",c".to_vec(), ..Record::default() };
                rejects.add(&record, "a.csv:1", "too wide").expect("a file").is_some()
            })
            .collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 11);
        assert_eq!(rejects.finish().expect("written"), Some(path.display().to_string()));
        assert_eq!(fs::read_to_string(&path).expect("the file"), "\"a,b\",c\n".repeat(12));
        // The next import leaves them alone.
        let mut next = Rejects::new(&copy, None);
        let record = Record { raw: b"d".to_vec(), ..Record::default() };
        next.add(&record, "a.csv:1", "too wide").expect("a file");
        let file = next.finish().expect("written").expect("a file");
        assert_eq!(file, format!("{}.2", path.display()));
        assert_eq!(fs::read_to_string(file).expect("the file"), "d\n");
        assert!(fs::read_to_string(&path).expect("the file").len() > 12);
    }

    #[test]
    fn the_default_name_is_made_of_the_tables() {
        let copy = CopyCommand::parse("COPY t FROM STDIN").expect("a command");
        assert_eq!(Rejects::new(&copy, Some("a/b")).path, PathBuf::from("import_a_b_t.err"));
    }
}
