//! What commands can switch while a shell runs.

use tholos_grammar::consistency::Consistency;

use crate::client::RequestOptions;
use crate::output::{Expand, Format};

/// Rows of a page in a terminal, where each page is looked at; cqlsh's number.
pub(crate) const INTERACTIVE_PAGE_SIZE: i32 = 100;

/// Rows of a page elsewhere: the default of most drivers.
pub(crate) const SCRIPT_PAGE_SIZE: i32 = 5000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) consistency: Consistency,
    pub(crate) serial_consistency: Option<Consistency>,
    pub(crate) tracing: bool,
    /// Rows of a page; `None`: results are not paged.
    pub(crate) page_size: Option<i32>,
    /// Whether a person is asked at the end of each page, as its size is his own; else where the screen is full.
    pub(crate) stops_at_pages: bool,
    pub(crate) format: Format,
    pub(crate) expand: Expand,
    /// Whether the footer says how long a statement took.
    pub(crate) timing: bool,
}

impl Settings {
    /// The options of a request for the page that begins at `paging_state`.
    pub(crate) fn request(&self, paging_state: Option<Vec<u8>>) -> RequestOptions {
        RequestOptions {
            consistency: self.consistency,
            serial_consistency: self.serial_consistency,
            page_size: self.page_size,
            paging_state,
            tracing: self.tracing,
            timestamp: None,
        }
    }
}
