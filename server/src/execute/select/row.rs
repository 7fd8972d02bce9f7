//! One row as SELECT sees it: the values of the plan's slots, found without copying and assembled when asked for.
//!
//! A simple cell is its bytes. A multi-cell column is put together from its live cells: lists in the order of their
//! paths, sets and maps from paths decoded as keys, user types by field number. What expired or was deleted is null.

use std::borrow::Cow;

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::writer::{CollectionWriter, push_value};
use tholos_storage::key::decode_component;
use tholos_storage::model::entry::{RowBuf, RowRef};
use tholos_storage::model::position::COMPONENT;
use tholos_storage::model::row::{CellRef, RowError, RowItem, RowItems};
use tholos_storage::model::{CellState, ColumnId, Seconds, written_key};
use tholos_storage::read::point::PointRow;
use tholos_storage::schema::Table;

use crate::error::QueryError;
use crate::query::keys::{self, Component};
use crate::query::select::plan::SelectPlan;
use crate::query::slots::{Place, Slot};

/// What a plan needs of rows, sorted for finding cells in one pass.
pub(super) struct Layout {
    regular: SmallVec<[(ColumnId, usize); 8]>,
    statics: SmallVec<[(ColumnId, usize); 4]>,
    /// The ids of both.
    regular_ids: SmallVec<[ColumnId; 8]>,
    static_ids: SmallVec<[ColumnId; 4]>,
    needs_partition_key: bool,
    needs_clustering: bool,
    /// Whether clustering values may have cells that hold them as they were written.
    has_written_keys: bool,
    slots: usize,
}

/// A static row that outlives the walk it came from.
pub(super) enum StaticRow {
    Point(PointRow),
    Copied(RowBuf),
}

/// The partition that rows belong to.
#[derive(Default)]
pub(super) struct Partition {
    pub(super) prefix: Vec<u8>,
    key: Vec<Component>,
    pub(super) static_row: Option<StaticRow>,
}

/// Where a slot's value is.
#[derive(Clone, Copy)]
enum Source<'r> {
    Null,
    Key(&'r [u8]),
    Simple(CellRef<'r>),
    /// The row's items from the column's first on.
    Complex(RowItems<'r>),
}

/// The values of one row.
pub(super) struct RowView<'r> {
    pub(super) slots: &'r [Slot],
    pub(super) prefix: &'r [u8],
    sources: SmallVec<[Source<'r>; 8]>,
    clustering: &'r ClusteringValues,
    now: Seconds,
}

/// The clustering values of one row, decoded; reused from row to row.
#[derive(Default)]
pub(super) struct ClusteringValues {
    bytes: Vec<u8>,
    ends: SmallVec<[usize; 8]>,
}

impl StaticRow {
    fn row(&self) -> RowRef<'_> {
        match self {
            StaticRow::Point(point) => point.row(),
            StaticRow::Copied(row) => row.as_row(),
        }
    }

    pub(super) fn copy(row: RowRef<'_>) -> Result<Self, RowError> {
        row.to_buf().map(StaticRow::Copied)
    }
}

impl Layout {
    pub(super) fn new(plan: &SelectPlan) -> Self {
        let mut layout = Layout {
            regular: SmallVec::new(),
            statics: SmallVec::new(),
            regular_ids: SmallVec::new(),
            static_ids: SmallVec::new(),
            needs_partition_key: false,
            needs_clustering: false,
            has_written_keys: false,
            slots: plan.slots.len(),
        };
        for (index, slot) in plan.slots.iter().enumerate() {
            match slot.place {
                Place::PartitionKey(_) => layout.needs_partition_key = true,
                Place::Clustering(place) => {
                    layout.needs_clustering = true;
                    if let (true, Ok(place)) = (keys::has_forms(&slot.cql_type), place.try_into()) {
                        layout.regular.push((written_key(place), index));
                        layout.has_written_keys = true;
                    }
                }
                Place::Static(id) => layout.statics.push((id, index)),
                Place::Regular(id) => layout.regular.push((id, index)),
            }
        }
        layout.regular.sort_unstable();
        layout.statics.sort_unstable();
        layout.regular_ids.extend(layout.regular.iter().map(|(id, _)| *id));
        layout.static_ids.extend(layout.statics.iter().map(|(id, _)| *id));
        layout
    }

    /// The columns of rows that are asked for.
    pub(super) fn regular_columns(&self) -> &[ColumnId] {
        &self.regular_ids
    }

    /// The columns of static rows that are asked for.
    pub(super) fn static_columns(&self) -> &[ColumnId] {
        &self.static_ids
    }

    /// Whether values of the static row are asked for.
    pub(super) fn needs_static(&self) -> bool {
        !self.statics.is_empty()
    }
}

impl Partition {
    /// A partition, with its key decoded if the plan shows or tests it.
    pub(super) fn open(prefix: &[u8], layout: &Layout, table: &Table) -> Result<Self, QueryError> {
        let key = match layout.needs_partition_key {
            true => keys::decode_partition(table, prefix)?,
            false => Vec::new(),
        };
        Ok(Partition { prefix: prefix.to_vec(), key, static_row: None })
    }
}

impl ClusteringValues {
    /// Decodes the clustering columns of a position.
    pub(super) fn decode(
        &mut self,
        table: &Table,
        position: &[u8],
        layout: &Layout,
    ) -> Result<(), QueryError> {
        self.bytes.clear();
        self.ends.clear();
        if !layout.needs_clustering {
            return Ok(());
        }
        let mut rest = position;
        for column in &table.clustering {
            let Some((&COMPONENT, after)) = rest.split_first() else { break };
            rest = after;
            decode_component(&column.cql_type, column.descending, &mut rest, &mut self.bytes)
                .map_err(|error| damaged_key(table, &error.to_string()))?;
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    fn value(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before).copied());
        self.bytes.get(start.unwrap_or(0)..end)
    }
}

impl<'r> RowView<'r> {
    /// The values of a row (none for a partition that has only a static row).
    pub(super) fn open(
        plan: &'r SelectPlan,
        layout: &Layout,
        partition: &'r Partition,
        clustering: &'r ClusteringValues,
        row: Option<RowRef<'r>>,
        now: Seconds,
    ) -> Result<Self, QueryError> {
        let mut sources: SmallVec<[Source<'r>; 8]> =
            smallvec::smallvec![Source::Null; layout.slots];
        if layout.needs_partition_key || layout.needs_clustering {
            for (slot, source) in plan.slots.iter().zip(&mut sources) {
                let value = match slot.place {
                    Place::PartitionKey(place) => partition.key.get(place).map(|c| c.as_slice()),
                    Place::Clustering(place) => clustering.value(place),
                    Place::Static(_) | Place::Regular(_) => None,
                };
                if let Some(value) = value {
                    *source = Source::Key(value);
                }
            }
        }
        if let Some(row) = row {
            find_cells(row, &layout.regular, &mut sources)?;
        }
        if layout.has_written_keys {
            for (slot, source) in plan.slots.iter().zip(&mut sources) {
                if let (Place::Clustering(place), Source::Simple(cell)) = (slot.place, *source) {
                    let written = Some(cell.value).filter(|v| cell.is_live(now) && !v.is_empty());
                    let value = written.or(clustering.value(place));
                    *source = value.map_or(Source::Null, Source::Key);
                }
            }
        }
        if let (Some(row), true) = (&partition.static_row, layout.needs_static()) {
            find_cells(row.row(), &layout.statics, &mut sources)?;
        }
        Ok(RowView { slots: &plan.slots, prefix: &partition.prefix, sources, clustering, now })
    }

    fn source(&self, slot: usize) -> Source<'r> {
        self.sources.get(slot).copied().unwrap_or(Source::Null)
    }

    /// A slot's value, in the one form that all equal clustering values have.
    pub(super) fn group_value(&self, slot: usize) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
        match self.slots.get(slot).map(|slot| slot.place) {
            Some(Place::Clustering(place)) => Ok(self.clustering.value(place).map(Cow::Borrowed)),
            _ => self.value(slot),
        }
    }

    /// A slot's value.
    pub(super) fn value(&self, slot: usize) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
        match self.source(slot) {
            Source::Null => Ok(None),
            Source::Key(bytes) => Ok(Some(Cow::Borrowed(bytes))),
            Source::Simple(cell) if cell.is_live(self.now) => Ok(Some(Cow::Borrowed(cell.value))),
            Source::Simple(_) => Ok(None),
            Source::Complex(items) => {
                let mut out = Vec::new();
                let some = self.assemble(slot, items, &mut out)?;
                Ok(some.then_some(Cow::Owned(out)))
            }
        }
    }

    /// Appends a slot's value as a cell of the result: its length and bytes, or -1 for null.
    pub(super) fn write(&self, slot: usize, out: &mut Vec<u8>) -> Result<(), QueryError> {
        let value = match self.source(slot) {
            Source::Null => None,
            Source::Key(bytes) => Some(bytes),
            Source::Simple(cell) => cell.is_live(self.now).then_some(cell.value),
            Source::Complex(items) => {
                let start = out.len();
                out.extend_from_slice(&(-1i32).to_be_bytes());
                if self.assemble(slot, items, out)? {
                    let length = i32::try_from(out.len() - start - 4)
                        .map_err(|_| QueryError::invalid("a value has more than 2 GiB"))?;
                    if let Some(room) = out.get_mut(start..start + 4) {
                        room.copy_from_slice(&length.to_be_bytes());
                    }
                }
                return Ok(());
            }
        };
        push_value(value, out).map_err(|error| QueryError::invalid(error.to_string()))
    }

    /// The live cells of a slot: one of a simple column, those of the elements of a multi-cell one.
    pub(super) fn live_cells(&self, slot: usize) -> Result<SmallVec<[CellRef<'r>; 1]>, QueryError> {
        let mut cells = SmallVec::new();
        match self.source(slot) {
            Source::Null | Source::Key(_) => {}
            Source::Simple(cell) => cells.extend(cell.is_live(self.now).then_some(cell)),
            Source::Complex(items) => {
                for cell in column_cells(items) {
                    cells.extend(Some(cell?).filter(|cell| cell.is_live(self.now)));
                }
            }
        }
        Ok(cells)
    }

    /// Seconds that a cell has left to live; `None` without a time to live.
    pub(super) fn ttl(&self, cell: &CellRef<'_>) -> Option<i32> {
        match cell.state {
            CellState::Expiring { expires_at, .. } => i32::try_from(expires_at - self.now).ok(),
            CellState::Live | CellState::Tombstone { .. } => None,
        }
    }

    /// Puts a multi-cell value together; says whether there is one.
    fn assemble(
        &self,
        slot: usize,
        items: RowItems<'r>,
        out: &mut Vec<u8>,
    ) -> Result<bool, QueryError> {
        let Some(slot) = self.slots.get(slot) else { return Ok(false) };
        if let CqlType::Udt { definition, .. } = &slot.cql_type {
            return self.assemble_udt(definition.fields.len(), items, out);
        }
        let start = out.len();
        let mut writer = CollectionWriter::new(out);
        for cell in column_cells(items) {
            let cell = cell?;
            if !cell.is_live(self.now) {
                continue;
            }
            let path = cell.path.unwrap_or_default();
            let written = match &slot.cql_type {
                CqlType::Set { .. } if !cell.value.is_empty() => writer.element(cell.value),
                CqlType::Set { element, .. } => writer.element(&path_value(element, path, slot)?),
                CqlType::Map { key, .. } => {
                    writer.entry(&path_value(key, path, slot)?, Some(cell.value))
                }
                _ => writer.element(cell.value),
            };
            written.map_err(|error| QueryError::invalid(error.to_string()))?;
        }
        let count = writer.finish().map_err(|error| QueryError::invalid(error.to_string()))?;
        if count == 0 {
            out.truncate(start);
        }
        Ok(count > 0)
    }

    fn assemble_udt(
        &self,
        fields: usize,
        items: RowItems<'r>,
        out: &mut Vec<u8>,
    ) -> Result<bool, QueryError> {
        let mut values: SmallVec<[Option<&[u8]>; 8]> = smallvec::smallvec![None; fields];
        for cell in column_cells(items) {
            let cell = cell?;
            let number = cell.path.and_then(|path| <[u8; 2]>::try_from(path).ok());
            let field = number.map(|bytes| usize::from(u16::from_be_bytes(bytes)));
            if let Some(value) = field.and_then(|field| values.get_mut(field))
                && cell.is_live(self.now)
            {
                *value = Some(cell.value);
            }
        }
        if values.iter().all(Option::is_none) {
            return Ok(false);
        }
        for value in values {
            push_value(value, out).map_err(|error| QueryError::invalid(error.to_string()))?;
        }
        Ok(true)
    }
}

/// One pass over a row: both the cells and the wanted columns ascend by id.
fn find_cells<'r>(
    row: RowRef<'r>,
    wanted: &[(ColumnId, usize)],
    sources: &mut [Source<'r>],
) -> Result<(), QueryError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut items = row.items().map_err(damaged_row)?;
    let mut wanted = wanted.iter().peekable();
    let mut last = None;
    loop {
        let at = items;
        let Some(item) = items.next() else { return Ok(()) };
        let item = item.map_err(damaged_row)?;
        let column = item.column();
        if last == Some(column) {
            continue;
        }
        last = Some(column);
        while wanted.next_if(|(id, _)| *id < column).is_some() {}
        let Some((_, slot)) = wanted.next_if(|(id, _)| *id == column) else {
            if wanted.peek().is_none() {
                return Ok(());
            }
            continue;
        };
        if let Some(source) = sources.get_mut(*slot) {
            *source = match item {
                RowItem::Cell(cell) if cell.path.is_none() => Source::Simple(cell),
                _ => Source::Complex(at),
            };
        }
    }
}

/// The cells of the column that the first item belongs to.
fn column_cells(items: RowItems<'_>) -> impl Iterator<Item = Result<CellRef<'_>, QueryError>> {
    let mut column = None;
    items
        .map(|item| item.map_err(damaged_row))
        .take_while(move |item| match item {
            Ok(item) => *column.get_or_insert(item.column()) == item.column(),
            Err(_) => true,
        })
        .filter_map(|item| match item {
            Ok(RowItem::Cell(cell)) => Some(Ok(cell)),
            Ok(RowItem::Deletion { .. }) => None,
            Err(error) => Some(Err(error)),
        })
}

fn path_value(ty: &CqlType, mut path: &[u8], slot: &Slot) -> Result<Vec<u8>, QueryError> {
    let mut out = Vec::with_capacity(path.len());
    decode_component(ty, false, &mut path, &mut out).map_err(|error| {
        QueryError::Internal(format!("an element of {} has a damaged key: {error}", slot.name))
    })?;
    Ok(out)
}

fn damaged_row(error: tholos_storage::model::row::RowError) -> QueryError {
    QueryError::Internal(format!("storage gave a row that can't be read: {error}"))
}

fn damaged_key(table: &Table, error: &str) -> QueryError {
    QueryError::Internal(format!(
        "storage gave a key that is none of {}.{}: {error}",
        table.keyspace, table.name
    ))
}
