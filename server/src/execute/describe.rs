//! Executing DESCRIBE: the catalogue's rows, encoded.

use tholos_grammar::protocol::response::rows_writer::RowsWriter;

use crate::error::QueryError;
use crate::execute::ExecuteContext;
use crate::query::describe::DescribePlan;
use crate::query::describe::rows::{ClusterInfo, rows};

/// Writes the rows of a DESCRIBE. They are never paged: there are as many as objects.
///
/// # Errors
/// [`QueryError::Invalid`] when what is to be described does not exist.
pub fn describe(
    cx: &ExecuteContext<'_>,
    plan: &DescribePlan,
    out: &mut Vec<u8>,
    writer: &mut RowsWriter,
) -> Result<(), QueryError> {
    let mut bytes = Vec::new();
    for row in rows(plan, cx.catalogue, &cluster(cx, plan))? {
        for (value, column) in row.iter().zip(&plan.columns) {
            bytes.clear();
            value
                .encode(&column.cql_type, &mut bytes)
                .map_err(|error| QueryError::Internal(error.to_string()))?;
            writer.cell(out, Some(&bytes));
        }
        writer.end_row();
    }
    Ok(())
}

/// The cluster's name, and who has which range of the keyspace in use.
fn cluster(cx: &ExecuteContext<'_>, plan: &DescribePlan) -> ClusterInfo {
    let name = cx.system.local().cluster_name;
    let Some(keyspace) = &plan.keyspace else { return ClusterInfo { name, ranges: Vec::new() } };
    let placement = cx.cluster.placement(keyspace.as_str());
    let ring = placement.ring();
    let ranges = ring.tokens().iter().map(|(token, _)| {
        let replicas = placement.replicas(*token).iter();
        let nodes = replicas.filter_map(|index| Some(ring.node(*index)?.address.to_string()));
        (token.0, nodes.collect())
    });
    ClusterInfo { name, ranges: ranges.collect() }
}
