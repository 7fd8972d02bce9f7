//! Levels: files of about one density, and how many of them it takes to merge.
//!
//! Where a level is open at its lower end, it is cut into shelves, each a sixteenth as dense as the one above. Without
//! them a table that gets little with each flush would write all it has again for every few flushes; with them it has a
//! few files more over each place.

use super::FileStats;

/// How files are put into levels.
#[derive(Clone, Debug, PartialEq)]
pub enum Levels {
    /// All in one, but for shelves; so many files over one place are merged.
    One {
        /// How many.
        threshold: usize,
    },
    /// Files belong together if they are about as dense as their average.
    Similar {
        /// A file belongs to a bucket if its density is between these shares of the bucket's average.
        bucket: (f64, f64),
        /// Below this many bytes all are alike that are of one shelf.
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
    /// The files by level and shelf, least dense first.
    pub(super) fn split(&self, files: &[FileStats]) -> Vec<Level> {
        match self {
            Levels::One { threshold } => {
                let threshold = (*threshold).max(2);
                let shelves = shelves(files.to_vec(), u64::MAX);
                shelves.into_iter().map(|files| Level { threshold, files }).collect()
            }
            Levels::Similar { bucket, min_bytes, threshold } => {
                let buckets = similar(files, *bucket, *min_bytes);
                let threshold = (*threshold).max(2);
                buckets.into_iter().map(|files| Level { threshold, files }).collect()
            }
            Levels::Geometric { base_bytes, steps } => geometric(files, *base_bytes, steps),
        }
    }

    /// How many files it takes to merge the least dense ones.
    pub(super) fn first_threshold(&self) -> usize {
        match self {
            Levels::One { threshold } | Levels::Similar { threshold, .. } => *threshold,
            Levels::Geometric { steps, .. } => steps.first().map_or(0, |step| step.threshold),
        }
    }
}

/// How many times as dense a shelf is as the one below.
const SHELF_FAN: u64 = 16;
/// There are no shelves below this density: a file of one row is hardly smaller.
const LAST_SHELF_BYTES: u64 = 4 << 10;

/// How many shelves a density lies below a limit.
fn shelf(density: u64, limit: u64) -> u32 {
    let mut floor = limit / SHELF_FAN;
    let mut shelf = 0;
    while density < floor && floor >= LAST_SHELF_BYTES {
        floor /= SHELF_FAN;
        shelf += 1;
    }
    shelf
}

/// The files by shelf, least dense first.
fn shelves(mut files: Vec<FileStats>, limit: u64) -> Vec<Vec<FileStats>> {
    let shelf = |file: &FileStats| std::cmp::Reverse(shelf(file.density(), limit));
    files.sort_by_key(shelf);
    files.chunk_by(|a, b| shelf(a) == shelf(b)).map(<[FileStats]>::to_vec).collect()
}

fn similar(files: &[FileStats], bucket: (f64, f64), min_bytes: u64) -> Vec<Vec<FileStats>> {
    let mut sorted = files.to_vec();
    sorted.sort_by_key(|file| (file.density(), file.number));
    let mut buckets: Vec<(f64, Vec<FileStats>)> = Vec::new();
    for file in sorted {
        let density = file.density() as f64;
        let belongs = |average: f64| {
            let alike = density > average * bucket.0 && density < average * bucket.1;
            let both_small = density.max(average) < min_bytes as f64;
            alike
                || both_small
                    && shelf(file.density(), min_bytes) == shelf(average as u64, min_bytes)
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
    let mut above_lowest = false;
    while !rest.is_empty() {
        step = steps.next().unwrap_or(step);
        limit = limit.saturating_mul(u64::from(step.fan.max(2)));
        let here = |file: &FileStats| limit == u64::MAX || file.density() < limit;
        let (files, denser) = rest.into_iter().partition(here);
        let threshold = step.threshold.max(2);
        let is_lowest = !std::mem::replace(&mut above_lowest, true);
        let cut = if is_lowest { shelves(files, limit) } else { vec![files] };
        levels.extend(cut.into_iter().map(|files| Level { threshold, files }));
        rest = denser;
    }
    levels
}
