//! Reading: bytes into envelopes, envelopes to whoever carries them out, within memory, time and a fair turn.
//!
//! Bytes are read into one buffer per thread. What is left of an envelope that has not come whole is kept by the
//! connection: a little of it for nothing, for more the connection must get credit for the whole envelope first, and
//! reads nothing until it has it. So there are never more large envelopes begun than can be finished.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tholos_grammar::protocol::decoder::Decoder;
use tholos_grammar::protocol::header::{Flags, HEADER_LENGTH, Header, Opcode, Version};
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_grammar::protocol::segment::MAX_PAYLOAD;
use tokio::io::{AsyncRead, ReadBuf};

use super::elsewhere::{UNPACK_BYTES, is_heavy};
use super::{Connection, Woken};
use crate::load::{Share, Turn};
use crate::node::Node;
use crate::work::deferred::Deferred;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// What a connection may keep without credit.
pub(super) const FREE_BYTES: usize = 4 << 10;

/// Room set aside for the answers of a turn.
const FIRST_ANSWER_BYTES: usize = 1 << 10;

/// A turn ends when its answers have this many bytes, or it took this long, so that others get their turn too.
const TURN_BYTES: usize = 256 << 10;
pub(super) const TURN_TIME: Duration = Duration::from_micros(500);

/// Of a frame that was begun so much must come in each second, or all of it.
const LEAST_BYTES_PER_SECOND: u64 = 256 << 10;

/// What refused requests are told.
const OVERLOADED: &str =
    "the node is overloaded: nothing was done; send less at a time, and this again later";

thread_local! {
    /// Where bytes are read to. Never held across an await: a turn runs in one poll.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What a connection knows of the bytes that it reads.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) decoder: Decoder,
    /// The start of an envelope that has not come whole, or whole ones that had to wait.
    unread: Vec<u8>,
    /// `unread` holds whole envelopes that were left when a turn ended early.
    pub(super) left_over: bool,
    /// Memory for the envelope at the front that could not be had yet; 0: none is wanted.
    wanted: usize,
    /// Bytes that had come behind those that were read last.
    behind: u64,
    frame: FrameClock,
    pub(super) share: Share,
    /// The error that refused requests are answered with: its body.
    refusal: Vec<u8>,
}

/// Watches that a frame that was begun comes to its end.
#[derive(Debug, Default)]
struct FrameClock {
    /// Part of a frame is here.
    begun: bool,
    /// Since when its rest is waited for, for which reason, and what of it came since.
    since: Option<(Instant, Lacks)>,
    bytes: u64,
}

/// What a frame that was begun lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacks {
    /// Its client sends the rest.
    Bytes,
    /// There is no memory for the rest.
    Memory,
}

impl Reading {
    pub(super) fn new(node: &Node) -> Reading {
        let mut decoder = Decoder::of_requests();
        decoder.set_room(0);
        decoder.set_unpack_limit(UNPACK_BYTES);
        Reading {
            decoder,
            unread: Vec::new(),
            left_over: false,
            wanted: 0,
            behind: 0,
            frame: FrameClock::default(),
            share: Share::new(Arc::clone(node.load())),
            refusal: Vec::new(),
        }
    }

    /// Memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.unread.capacity() + self.decoder.memory()
    }

    /// How many bytes to read at once: no more than the rest of a large frame, which is then alone in its buffer.
    fn read_bytes(&self, is_short: bool) -> usize {
        let most = if is_short { FREE_BYTES } else { READ_BYTES };
        match self.decoder.wanted().checked_sub(self.unread.len()) {
            Some(rest @ 1..) if self.decoder.wanted() > READ_BYTES => rest.min(most),
            _ => most,
        }
    }

    /// Keeps what was not taken up, with room for the rest of its frame if there is credit for that.
    fn keep(&mut self, rest: &[u8]) {
        if self.wanted == 0 && !rest.is_empty() {
            self.unread.reserve_exact(self.decoder.wanted().max(rest.len()));
        }
        self.unread.extend_from_slice(rest);
    }
}

impl FrameClock {
    /// Nothing is lacking while it is us who do not want more.
    fn run(&mut self, lacks: Option<Lacks>, now: impl FnOnce() -> Instant) {
        let lacks = lacks.filter(|_| self.begun);
        if lacks != self.since.map(|(_, lacks)| lacks) {
            self.since = lacks.map(|lacks| (now(), lacks));
            self.bytes = 0;
        }
    }

    /// After a turn: whether part of a frame is left, and whether another one was ended.
    fn turned(&mut self, left: bool, ended: bool) {
        self.begun = left;
        if !left || ended {
            self.since = None;
        }
    }

    /// Whether the time for it is over; else it gets as much again if enough of it came.
    fn is_over(&mut self, limit: Duration, now: Instant) -> bool {
        let Some((_, lacks)) = self.since.filter(|(since, _)| now >= *since + limit) else {
            return false;
        };
        let least = LEAST_BYTES_PER_SECOND as f64 * limit.as_secs_f64();
        let is_over = (self.bytes as f64) < least;
        (self.since, self.bytes) = (Some((now, lacks)), 0);
        is_over
    }
}

impl Connection {
    /// Waits for bytes and works off what came.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
        if self.reading.wanted > 0 {
            ready!(self.poll_credit(cx));
            self.reading.left_over = true;
        }
        if self.reading.left_over {
            // What has come meanwhile waits too.
            self.reading.behind = rustix::io::ioctl_fionread(&self.stream).unwrap_or(0);
            self.work_off_unread();
            return Poll::Ready(Ok(Woken::Turn));
        }
        INPUT.with_borrow_mut(|input| self.poll_turn(input, cx))
    }

    /// Gets the credit that the envelope at the front needs.
    fn poll_credit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let more = self.reading.wanted.saturating_sub(self.frame_credit.bytes());
        let credit = ready!(self.account.poll_take(more, cx));
        self.frame_credit.absorb(credit);
        self.reading.decoder.set_room(self.reading.wanted);
        self.reading.wanted = 0;
        let missing = self.reading.decoder.wanted().saturating_sub(self.reading.unread.len());
        self.reading.unread.reserve_exact(missing);
        Poll::Ready(())
    }

    /// Looks whether there is a frame that has to get on.
    pub(super) fn run_frame_clock(&mut self) {
        let lacks = match self.takes_more() && !self.reading.left_over {
            true if self.reading.wanted > 0 => Some(Lacks::Memory),
            true => Some(Lacks::Bytes),
            false => None,
        };
        self.reading.frame.run(lacks, Instant::now);
        if let Some((since, _)) = self.reading.frame.since {
            self.arm(since + self.node.config().limits.frame_timeout());
        }
    }

    /// Whether a frame took too long.
    pub(super) fn frame_is_overdue(&mut self) -> bool {
        let limit = self.node.config().limits.frame_timeout();
        self.reading.frame.is_over(limit, Instant::now())
    }

    /// Reads once and works off what came.
    fn poll_turn(&mut self, input: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
        let most = self.reading.read_bytes(self.account.budget().is_short());
        let mut buffer = ReadBuf::new(input.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(Woken::Closed));
        }
        self.note_arrival(bytes.len(), most);
        if self.reading.unread.is_empty() {
            let mut rest = bytes;
            if let Some(header) = self.work_off(&mut rest) {
                self.hand_over(header, bytes.to_vec());
            } else {
                self.reading.keep(rest);
            }
        } else {
            self.reading.unread.extend_from_slice(bytes);
            self.work_off_unread();
        }
        Poll::Ready(Ok(Woken::Turn))
    }

    fn note_arrival(&mut self, bytes: usize, most: usize) {
        self.node.metrics().received_bytes.fetch_add(bytes as u64, Relaxed);
        let reading = &mut self.reading;
        reading.frame.bytes += bytes as u64;
        reading.behind = match bytes < most {
            true => 0,
            false => rustix::io::ioctl_fionread(&self.stream).unwrap_or(0),
        };
    }

    fn work_off_unread(&mut self) {
        let mut unread = std::mem::take(&mut self.reading.unread);
        let mut rest = unread.as_slice();
        if let Some(header) = self.work_off(&mut rest) {
            self.hand_over(header, unread);
            return;
        }
        let done = unread.len() - rest.len();
        unread.drain(..done);
        let length = match self.reading.wanted {
            0 => unread.len().max(self.reading.decoder.wanted()),
            _ => unread.len(),
        };
        if unread.is_empty() {
            unread = Vec::new();
        } else if unread.capacity() / 4 > length.max(FREE_BYTES) {
            unread.shrink_to(length);
        } else {
            unread.reserve_exact(length - unread.len());
        }
        self.reading.unread = unread;
    }

    /// Executes every whole envelope of `input`, until the answers are enough for one turn. Comes back with a header when
    /// all of the input was this one envelope, and it is to be carried out elsewhere.
    fn work_off(&mut self, input: &mut &[u8]) -> Option<Header> {
        self.reading.left_over = false;
        let all = *input;
        self.encoder.body().reserve(FIRST_ANSWER_BYTES);
        let mut decoder = std::mem::replace(&mut self.reading.decoder, Decoder::of_requests());
        let began = Instant::now();
        let connections = self.node.metrics().connections.load(Relaxed);
        let time = self.reading.share.begin(connections.unsigned_abs(), began);
        let most = if self.account.budget().is_short() { FREE_BYTES } else { TURN_BYTES };
        let (mut turn, mut started, mut whole) = (Turn::default(), began, None);
        let mut refused_now = 0;
        while !self.closing {
            if self.encoder.len() >= most || started.saturating_duration_since(began) >= time {
                self.reading.left_over = true;
                break;
            }
            let next = match decoder.next(input) {
                Ok(next) => next,
                Err(error) => {
                    self.refuse(&error);
                    break;
                }
            };
            let Some(envelope) = next else {
                if self.gets_room(&mut decoder) {
                    continue;
                }
                break;
            };
            let header = envelope.header;
            if self.reading.share.refuses(input.len()) && is_statement(header.opcode) {
                self.refuse_overloaded(&header);
                refused_now += 1;
                continue;
            }
            if refused_now > 0 {
                started = self.refused(&mut turn, &mut refused_now, started);
            }
            turn.carried_out += 1;
            if self.session.is_some() && is_heavy(&envelope) {
                if is_all_of(envelope.body, all) {
                    whole = Some(header);
                    break;
                }
                let request = if header.length > MAX_PAYLOAD && header.version == Version::V5 {
                    decoder.take_assembled().unwrap_or_default()
                } else {
                    [&[0; HEADER_LENGTH], envelope.body].concat()
                };
                self.hand_over(header, request);
                decoder.set_room(0);
                continue;
            }
            self.answered_at = None;
            let opened = self.dispatch(&envelope, started);
            if let Some(opened) = opened {
                opened.apply(&mut decoder, self.node.frame_bytes());
            }
            // When one request ends, the next begins: the clock is looked at once.
            let ended = self.answered_at.unwrap_or_else(Instant::now);
            self.reading.share.spend(ended.saturating_duration_since(started));
            started = ended;
        }
        self.reading.decoder = decoder;
        if refused_now > 0 {
            started = self.refused(&mut turn, &mut refused_now, started);
        }
        turn.took = started.saturating_duration_since(began).saturating_sub(turn.refusing);
        turn.bytes = (all.len() - input.len()) as u64;
        self.end_turn(turn, input.len(), started);
        whole
    }

    /// Requests were refused since then.
    fn refused(&mut self, turn: &mut Turn, requests: &mut u64, since: Instant) -> Instant {
        let now = Instant::now();
        let took = now.saturating_duration_since(since);
        turn.refused += std::mem::take(requests);
        turn.refusing += took;
        self.reading.share.spend_refusing(took);
        now
    }

    fn end_turn(&mut self, mut turn: Turn, left: usize, now: Instant) {
        // A frame that has not come whole is no request that waits, however much of it is there.
        let come = self.reading.behind + left as u64;
        let begun = self.reading.decoder.wanted().max(self.reading.wanted) as u64;
        let is_part = self.reading.decoder.is_assembling();
        turn.waiting = if is_part { 0 } else { come.saturating_sub(begun) };
        self.reading.share.end(&turn, now);
        let done = turn.carried_out + turn.refused > 0;
        let left = left > 0 || self.reading.decoder.is_assembling();
        self.reading.frame.turned(left, done);
        self.pause_writer();
    }

    /// Whether the decoder may go on because it has more room now than it had.
    fn gets_room(&mut self, decoder: &mut Decoder) -> bool {
        let needed = decoder.needed();
        let has = self.frame_credit.bytes();
        if needed <= FREE_BYTES {
            self.frame_credit.set(0);
        } else if needed < has {
            self.frame_credit.set(needed);
        } else if needed > has && !self.frame_credit.grow(needed - has) {
            self.reading.wanted = needed;
            return false;
        }
        let had = decoder.room();
        decoder.set_room(self.frame_credit.bytes());
        had < needed && needed <= decoder.room()
    }

    /// Gives a request to a thread that takes its time. The first bytes of `request` are its header.
    fn hand_over(&mut self, header: Header, request: Vec<u8>) {
        let credit = std::mem::replace(&mut self.frame_credit, self.account.nothing());
        if let Some(session) = &self.session {
            self.count(session);
        }
        let (started, keyspace) = (Instant::now(), self.keyspace());
        let request = Deferred::new(header, request, credit, started, keyspace);
        self.work.jobs.push(request);
    }

    fn refuse_overloaded(&mut self, header: &Header) {
        if self.reading.refusal.is_empty() {
            let message = ErrorMessage::new(ErrorKind::Overloaded, OVERLOADED);
            Response::Error(message).encode(&mut self.reading.refusal, header.version);
        }
        let open =
            self.encoder.begin(header.version, Opcode::Error, header.stream, Flags::default());
        self.encoder.body().extend_from_slice(&self.reading.refusal);
        // So short an answer is not too long.
        let _ = self.encoder.finish(open);
    }
}

/// Whether an envelope with this body is all of the input.
fn is_all_of(body: &[u8], input: &[u8]) -> bool {
    input.len() == HEADER_LENGTH + body.len() && input.as_ptr_range().end == body.as_ptr_range().end
}

/// Requests that may be refused; the others are cheap, and say whether the node lives.
fn is_statement(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::Query | Opcode::Prepare | Opcode::Execute | Opcode::Batch)
}
