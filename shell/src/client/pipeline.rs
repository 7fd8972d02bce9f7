//! Many executions of one prepared statement, sent together: one write, then the answers as they come.

use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::execute::Execute;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::response::error::ErrorMessage;
use tholos_grammar::protocol::values::ValueList;

use super::connection::{Connection, parameters};
use super::error::ClientError;
use super::options::RequestOptions;
use super::reply::PreparedStatement;

/// Most requests in flight: as many as there are streams, less some for answers that come late.
pub const MAX_PIPELINED: usize = 16_384;

impl Connection {
    /// Executes a prepared statement once for each list of values; rows that it comes to are dropped. The answers are
    /// in the order of `values`. An error of the connection leaves open which of them took effect.
    ///
    /// # Panics
    /// If there are more than [`MAX_PIPELINED`] lists.
    pub fn execute_many(
        &mut self,
        statement: &PreparedStatement,
        values: &[ValueList],
        options: &RequestOptions,
    ) -> Result<Vec<Result<(), ErrorMessage>>, ClientError> {
        assert!(values.len() <= MAX_PIPELINED, "{} requests at once", values.len());
        let requests = values.iter().map(|values| {
            let parameters = QueryParameters { values: values.as_values(), ..parameters(options) };
            Request::Execute(Execute {
                id: &statement.id,
                result_metadata_id: &statement.result_metadata_id,
                parameters,
            })
        });
        let timeout = self.request_timeout();
        self.wire_mut().exchange_all(requests, timeout)
    }
}
