//! Levels: files of about one density, and how many of them it takes to merge.

use super::FileStats;

/// How files are put into levels.
#[derive(Clone, Debug, PartialEq)]
pub enum Levels {
    /// All in one; so many files over one place are merged.
    One {
        /// How many.
        threshold: usize,
    },
    /// Files belong together if they are about as dense as their average.
    Similar {
        /// A file belongs to a bucket if its density is between these shares of the bucket's average.
        bucket: (f64, f64),
        /// Below this many bytes all are alike.
        min_bytes: u64,
        /// How many it takes.
        threshold: usize,
    },
    /// Each level is so many times as dense as the one before; the last step repeats.
    Geometric {
        /// The first level ends where a file is one fan as dense as this many bytes.
        base_bytes: u64,
        /// The steps from level to level.
        steps: Vec<Step>,
    },
}

/// One level of [`Levels::Geometric`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many times as dense the next level is.
    pub fan: u32,
    /// How many files over one place it takes to merge them.
    pub threshold: usize,
}

/// Files of one level.
pub(super) struct Level {
    pub(super) threshold: usize,
    pub(super) files: Vec<FileStats>,
}

impl Levels {
    /// The files by level, least dense first.
    pub(super) fn split(&self, files: &[FileStats]) -> Vec<Level> {
        match self {
            Levels::One { threshold } => {
                vec![Level { threshold: (*threshold).max(2), files: files.to_vec() }]
            }
            Levels::Similar { bucket, min_bytes, threshold } => {
                let buckets = similar(files, *bucket, *min_bytes);
                let threshold = (*threshold).max(2);
                buckets.into_iter().map(|files| Level { threshold, files }).collect()
            }
            Levels::Geometric { base_bytes, steps } => geometric(files, *base_bytes, steps),
        }
    }
}

fn similar(files: &[FileStats], bucket: (f64, f64), min_bytes: u64) -> Vec<Vec<FileStats>> {
    let mut sorted = files.to_vec();
    sorted.sort_by_key(|file| (file.density(), file.number));
    let mut buckets: Vec<(f64, Vec<FileStats>)> = Vec::new();
    for file in sorted {
        let density = file.density() as f64;
        let belongs = |average: f64| {
            let alike = density > average * bucket.0 && density < average * bucket.1;
            alike || density.max(average) < min_bytes as f64
        };
        // In ascending order only the last bucket can take the file.
        match buckets.last_mut().filter(|(average, _)| belongs(*average)) {
            Some((average, files)) => {
                let count = files.len() as f64;
                *average = (*average * count + density) / (count + 1.0);
                files.push(file);
            }
            None => buckets.push((density, vec![file])),
        }
    }
    buckets.into_iter().map(|(_, files)| files).collect()
}

fn geometric(files: &[FileStats], base_bytes: u64, steps: &[Step]) -> Vec<Level> {
    let mut rest = files.to_vec();
    let mut levels = Vec::new();
    let mut limit = base_bytes.max(1);
    let mut steps = steps.iter().copied();
    let mut step = Step { fan: 4, threshold: 4 };
    while !rest.is_empty() {
        step = steps.next().unwrap_or(step);
        limit = limit.saturating_mul(u64::from(step.fan.max(2)));
        let here = |file: &FileStats| limit == u64::MAX || file.density() < limit;
        let (files, denser) = rest.into_iter().partition(here);
        levels.push(Level { threshold: step.threshold.max(2), files });
        rest = denser;
    }
    levels
}
