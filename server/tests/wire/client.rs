//! A server in this process, and a client that speaks frames and nothing more.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::decoder::Decoder;
use tholos_grammar::protocol::encoder::Encoder;
use tholos_grammar::protocol::envelope::ResponseMessage;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::request::startup::Startup;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_server::config::Config;
use tholos_server::node::Node;
use tholos_server::serve::{Server, ServerOptions};
use tokio_util::sync::CancellationToken;

/// Longer than any answer takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port, stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) node: Arc<Node>,
    pub(crate) admin: Option<SocketAddr>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// With data in memory.
    pub(crate) fn start(change: impl FnOnce(&mut Config)) -> Running {
        Running::start_on(true, change)
    }

    pub(crate) fn start_on(in_memory: bool, change: impl FnOnce(&mut Config)) -> Running {
        Running::start_with(in_memory, 2, change)
    }

    /// With so many threads that serve connections.
    pub(crate) fn start_with(
        in_memory: bool,
        threads: usize,
        change: impl FnOnce(&mut Config),
    ) -> Running {
        let mut config = Config::default();
        config.listen.port = 0;
        config.admin.port = 0;
        config.commit_log.segment_mib = 1;
        change(&mut config);
        let options =
            ServerOptions { config, in_memory, set_aside_damaged: false, recreate_missing: false };
        let server = Server::open(options).unwrap();
        let (address, admin) = (server.native_address(), server.admin_address());
        let node = Arc::clone(server.node());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(server.run(stopped)).unwrap();
        });
        Running { address, node, admin, stop, thread: Some(thread) }
    }

    /// A client that has opened its session.
    pub(crate) fn client(&self, version: Version) -> Client {
        self.client_with(version, None)
    }

    /// A client whose bytes may be compressed.
    pub(crate) fn client_with(&self, version: Version, compression: Option<Compression>) -> Client {
        let mut client = Client::connect(self.address, version);
        client.open(compression);
        client
    }

    /// Stops gracefully and waits for the end.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) version: Version,
    encoder: Encoder,
    decoder: Decoder,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, version: Version) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream,
            version,
            encoder: Encoder::new(),
            decoder: Decoder::of_responses(),
            input: Vec::new(),
        }
    }

    /// STARTUP.
    pub(crate) fn open(&mut self, compression: Option<Compression>) {
        let mut options = vec![("CQL_VERSION", "3.0.0"), ("DRIVER_NAME", "wire test")];
        options.extend(compression.map(|compression| ("COMPRESSION", compression.name())));
        self.send(0, &Request::Startup(Startup { options }));
        self.answer(|stream, message| {
            assert_eq!((stream, message.response), (0, Response::Ready));
        });
        self.encoder.set_compression(compression);
        self.decoder.set_compression(compression);
        if self.version == Version::V5 {
            self.encoder.switch_to_segments();
            self.decoder.switch_to_segments();
        }
    }

    /// Puts a request into the buffer; [`flush`](Self::flush) sends all of them in one write.
    pub(crate) fn queue(&mut self, stream: i16, request: &Request<'_>) {
        self.encoder.request(self.version, stream, false, &[], request).unwrap();
    }

    pub(crate) fn flush(&mut self) {
        self.stream.write_all(self.encoder.finished()).unwrap();
        self.encoder.clear(0);
    }

    /// Sends half of what is in the buffer, and forgets the rest.
    pub(crate) fn flush_half(&mut self) {
        let bytes = self.encoder.finished();
        self.stream.write_all(&bytes[..bytes.len() / 2]).unwrap();
        self.encoder.clear(0);
    }

    pub(crate) fn send(&mut self, stream: i16, request: &Request<'_>) {
        self.queue(stream, request);
        self.flush();
    }

    /// Waits for one answer or event.
    pub(crate) fn answer<T>(&mut self, see: impl FnOnce(i16, ResponseMessage<'_>) -> T) -> T {
        let mut see = Some(see);
        loop {
            let mut rest = self.input.as_slice();
            if let Some(envelope) = self.decoder.next(&mut rest).unwrap() {
                assert_eq!(envelope.header.version, self.version);
                let message = envelope.response().unwrap();
                let seen = see.take().unwrap()(envelope.header.stream, message);
                let done = self.input.len() - rest.len();
                self.input.drain(..done);
                return seen;
            }
            let done = self.input.len() - rest.len();
            self.input.drain(..done);
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the server closed the connection");
            self.input.extend_from_slice(&bytes[..read]);
        }
    }

    /// Runs a statement that works.
    pub(crate) fn run<T>(&mut self, text: &str, see: impl FnOnce(QueryResult<'_>) -> T) -> T {
        self.send(1, &query(text));
        self.answer(|_, message| match message.response {
            Response::Result(result) => see(result),
            other => panic!("{text}: {other:?}"),
        })
    }

    /// Runs a statement for its effect.
    pub(crate) fn effect(&mut self, text: &str) {
        self.run(text, |_| ());
    }

    /// Sends a request that fails.
    pub(crate) fn fails(&mut self, request: &Request<'_>) -> ErrorMessage {
        self.send(1, request);
        self.answer(|_, message| match message.response {
            Response::Error(error) => error,
            other => panic!("{other:?}"),
        })
    }

    /// Sends a statement for which there is no memory.
    pub(crate) fn fails_with_no_memory(&mut self, text: &str) {
        let error = self.fails(&query(text));
        assert_eq!(error.kind, ErrorKind::Overloaded, "{}", error.message);
        assert!(error.message.contains("memory.requests_mib"), "{}", error.message);
    }

    /// Whether the server closes the connection, after whatever it still says.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).is_ok()
    }
}

pub(crate) fn query(text: &str) -> Request<'_> {
    Request::Query(Query { text, parameters: QueryParameters::default() })
}
