//! The bytes that are gathered for one write, and what they are: what a mark says is written when it
//! goes. Knows no clock, no message and nobody's marks.

/// What a short trail counts as, in bytes of a long one: for its last points all are read.
const TRAIL_COST_BYTES_MIN: usize = 512;

/// What is owed that says, when it goes, what is true by then. A slot from `SPARSE_FROM` on is that
/// of a user who is followed because everyone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// How many follow the connection's user.
    Audience,
    /// Presence of the user in this slot.
    Presence(u32),
    /// The same of the user in this slot if it is one of everyone.
    Introduction(u32),
    /// The trail of the user in this slot, from this time on (milliseconds since 1970).
    Trail(u32, u64),
    /// The same of one of everyone.
    CoveredTrail(u32, u64),
    /// The last known position of the user in this slot, with its age.
    LastKnown(u32),
    /// The same of one of everyone; without the age if nothing was known when everyone was followed.
    Whereabouts(u32),
    /// The newest position of the user in this slot.
    Newest(u32),
}

/// One write's bytes, gathered from several places; shared by all connections.
#[derive(Debug, Default)]
pub struct Gather {
    pub(super) bytes: Vec<u8>,
    /// What each frame is, and where in `bytes` it ends.
    pub(super) frames: Vec<(Gathered, usize)>,
    /// Bytes of trails that may still be gathered for all connections together.
    trail_bytes_left: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Gathered {
    Pong,
    Mark(Mark),
    /// A position that is no mark.
    Due,
}

impl Gather {
    pub(super) fn start(&mut self, with: &[u8]) {
        self.bytes.clear();
        self.frames.clear();
        self.bytes.extend_from_slice(with);
    }

    /// Lets so many bytes of trails be gathered from now on, and the one that they end in.
    pub fn allow_trails(&mut self, bytes: usize) {
        self.trail_bytes_left = bytes;
    }

    /// Whether another trail may be gathered.
    pub fn allows_trails(&self) -> bool {
        self.trail_bytes_left > 0
    }
}

/// What is true now about a mark: appends the frame, or says that there is none any more.
pub trait Newest: FnMut(Mark, &mut Vec<u8>) -> bool {}
impl<F: FnMut(Mark, &mut Vec<u8>) -> bool> Newest for F {}

/// Appends what is true now about a mark, if anything is, and says whether.
pub(super) fn gather_if_any(mark: Mark, gather: &mut Gather, newest: &mut impl Newest) -> bool {
    let start = gather.bytes.len();
    let is_any = newest(mark, &mut gather.bytes);
    if is_any {
        let end = gather.bytes.len();
        if let Mark::Trail(..) | Mark::CoveredTrail(..) = mark {
            let cost = (end - start).max(TRAIL_COST_BYTES_MIN);
            gather.trail_bytes_left = gather.trail_bytes_left.saturating_sub(cost);
        }
        gather.frames.push((Gathered::Mark(mark), end));
    }
    is_any
}
