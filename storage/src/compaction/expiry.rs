//! Files that are worth a job for what they no longer hold: expired ones, and those full of tombstones.

use super::{FileStats, Moment};

/// Files in which everything is old enough to be forgotten, and that hide nothing older elsewhere (spec 4.5). Without
/// `shadows`, what they might hide does not count.
pub(super) fn expired(files: &[FileStats], moment: Moment, shadows: bool) -> Vec<FileStats> {
    let is_over = |file: &&FileStats| !file.held && file.max_deleted_at < moment.gc_before;
    let (mut candidates, mut kept): (Vec<&FileStats>, Vec<&FileStats>) =
        files.iter().partition(is_over);
    if shadows {
        // A candidate that must stay may keep others in turn, so this goes on until none is left that must.
        loop {
            let must_stay = |file: &&FileStats| hides_older(file, &kept, moment);
            let (stay, go): (Vec<_>, Vec<_>) = candidates.into_iter().partition(must_stay);
            candidates = go;
            if stay.is_empty() {
                break;
            }
            kept.extend(stay);
        }
    }
    candidates.into_iter().copied().collect()
}

/// The file that is fullest of tombstones which a compaction of it alone would all drop: nothing that overlaps it is
/// older than anything in it.
pub(super) fn full_of_tombstones(
    files: &[FileStats],
    moment: Moment,
    threshold: f64,
) -> Option<FileStats> {
    let share = |file: &FileStats| file.old_tombstones as f64 / file.cells.max(1) as f64;
    let is_alone = |file: &FileStats| {
        let others: Vec<&FileStats> =
            files.iter().filter(|other| other.number != file.number).collect();
        !hides_older(file, &others, moment)
    };
    files
        .iter()
        .filter(|file| !file.held && share(file) > threshold && is_alone(file))
        .max_by(|a, b| share(a).total_cmp(&share(b)).then(b.number.cmp(&a.number)))
        .copied()
}

/// Whether something in the file may delete something in others that overlap it, or in memory.
fn hides_older(file: &FileStats, others: &[&FileStats], moment: Moment) -> bool {
    let older =
        |other: &&&FileStats| other.overlaps(file) && other.min_timestamp <= file.max_timestamp;
    moment.memory <= file.max_timestamp || others.iter().any(|other| older(&other))
}
