//! Why a message was not carried out: a code for programs, and for people a sentence that says
//! what to mend. Knows no connections, and of JSON no more than to quote the sender's own.

use std::fmt;

use crate::fix::FixError;
use crate::user::{ID_BYTES_MAX, NAME_BYTES_MAX};

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $word:literal,)*) => {
        /// The `code` of an error message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            /// The code as it is sent.
            pub fn word(self) -> &'static str {
                match self {
                    $(Code::$code => $word,)*
                }
            }
        }
    };
}

codes! {
    /// Not JSON of one object with each key of ours once.
    BadJson = "bad_json",
    /// JSON, but no message.
    BadMessage = "bad_message",
    /// No user id, or none where one is needed.
    BadId = "bad_id",
    /// No position.
    BadPosition = "bad_position",
    /// The connection is another user.
    WrongUser = "wrong_user",
    /// Over the limit of follows.
    TooManyFollows = "too_many_follows",
    /// The token does not cover it.
    NotAllowed = "not_allowed",
    /// No token was shown.
    Unauthorized = "unauthorized",
    /// Over the limit of positions a second.
    TooFast = "too_fast",
}

impl Code {
    /// Whether a position may be refused with it.
    pub fn may_refuse_positions(self) -> bool {
        match self {
            Code::BadId
            | Code::BadPosition
            | Code::WrongUser
            | Code::NotAllowed
            | Code::Unauthorized
            | Code::TooFast => true,
            Code::BadJson | Code::BadMessage | Code::TooManyFollows => false,
        }
    }
}

/// Why a message, or a part of it, was not carried out. Its [`Display`](fmt::Display) is the
/// sentence that tells the sender what to mend.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Not JSON, or one of our keys twice; with the parser's own words.
    BadJson(String),
    /// JSON, but not an object from its first byte.
    NotAnObject,
    /// An object without any key that would make it a message.
    NoMessage,
    /// A ping without a number to answer with.
    PingWithoutNumber,
    /// The field of this name should be a list.
    NotAList(&'static str),
    /// The field of this name should be true or false.
    NotASwitch(&'static str),
    /// This many ids of a list are none; the first of them, as JSON.
    BadIds(usize, String),
    /// The `userId`, given as JSON, is none.
    BadUser(String),
    /// A position without a `userId` on a connection that declared none.
    MissingUser,
    /// A report that does not say whose position it is.
    ReportWithoutId,
    /// An audience asked for on a connection that declared no `userId`.
    AudienceOfNobody,
    /// A name that is no text for one.
    BadName,
    /// A name on a connection that declared no `userId`.
    NameOfNobody,
    /// A goodbye on a connection that declared no `userId`.
    GoodbyeOfNobody,
    /// The number of points of trails is none.
    NotACount,
    /// The time from which on trails are wanted is none.
    NotATime,
    /// The field of this name says something if it is true, and nothing else.
    NotTrue(&'static str),
    /// The position is none.
    BadPosition(FixError),
    /// The connection declared another user, given as JSON, than the message names.
    WrongUser(String),
    /// Tokens are asked for, and none was shown yet.
    Unauthorized,
    /// The token does not cover this many follows; the first of them, as JSON.
    MayNotFollow(usize, String),
    /// Neither a token nor the server lets everyone be followed.
    MayNotFollowEveryone,
    /// The token does not cover positions of this user, given as JSON.
    MayNotPublish(String),
    /// More positions a second than this.
    TooFast(u32),
    /// This many ids were over the limit of follows (the second number); the first, as JSON.
    TooManyFollows(usize, usize, String),
    /// This many ids were over the limit of all follows of all connections; the first, as JSON.
    TooManyFollowsTotal(usize, String),
}

impl Refusal {
    /// The `code` of the error message.
    pub fn code(&self) -> Code {
        match self {
            Refusal::BadJson(_) => Code::BadJson,
            Refusal::NotAnObject
            | Refusal::NoMessage
            | Refusal::PingWithoutNumber
            | Refusal::NotAList(_)
            | Refusal::NotASwitch(_)
            | Refusal::NotTrue(_)
            | Refusal::NotACount
            | Refusal::NotATime
            | Refusal::BadName => Code::BadMessage,
            Refusal::BadIds(..)
            | Refusal::BadUser(_)
            | Refusal::MissingUser
            | Refusal::ReportWithoutId
            | Refusal::AudienceOfNobody
            | Refusal::NameOfNobody
            | Refusal::GoodbyeOfNobody => Code::BadId,
            Refusal::BadPosition(_) => Code::BadPosition,
            Refusal::WrongUser(_) => Code::WrongUser,
            Refusal::TooManyFollows(..) | Refusal::TooManyFollowsTotal(..) => Code::TooManyFollows,
            Refusal::TooFast(_) => Code::TooFast,
            Refusal::Unauthorized => Code::Unauthorized,
            Refusal::MayNotFollow(..)
            | Refusal::MayNotFollowEveryone
            | Refusal::MayNotPublish(_) => Code::NotAllowed,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::BadJson(reason) => write!(f, "this is not the JSON of one message: {reason}"),
            Refusal::NotAnObject => {
                write!(f, "a message is a JSON object: it must begin with {{")
            }
            Refusal::NoMessage => write!(
                f,
                "no message has these keys: send initialRequest true for a hello, lat and lng for a position, \
                 follow, unfollow or goodbye, or ping"
            ),
            Refusal::PingWithoutNumber => {
                write!(f, "ping must be a number: it comes back as pong")
            }
            Refusal::NotAList(field) => write!(f, "{field} must be a list of user ids, or \"*\""),
            Refusal::NotASwitch(field) => write!(f, "{field} must be true or false"),
            Refusal::BadIds(1, first) => write!(f, "1 id was left out, {first}: {ID_RULE}"),
            Refusal::BadIds(count, first) => {
                write!(
                    f,
                    "{count} ids were left out, the first of them {first}: {ID_RULE}"
                )
            }
            Refusal::BadUser(json) => write!(f, "userId is {json}: {ID_RULE}"),
            Refusal::MissingUser => {
                write!(
                    f,
                    "userId is missing: put it into the position, or into a hello before it"
                )
            }
            Refusal::ReportWithoutId => write!(
                f,
                "whose position is this? The app must send an id: as id, userId, or what it calls a device"
            ),
            Refusal::AudienceOfNobody => write!(
                f,
                "userId is missing: an audience is told to a connection that says who it is"
            ),
            Refusal::BadName => write!(
                f,
                "name must be a string of 1 to {NAME_BYTES_MAX} bytes without control characters"
            ),
            Refusal::NameOfNobody => write!(
                f,
                "userId is missing: a name is that of a connection that says who it is"
            ),
            Refusal::GoodbyeOfNobody => write!(
                f,
                "userId is missing: goodbye is said by a connection that said who it is"
            ),
            Refusal::NotACount => write!(
                f,
                "trail must be a whole number: how many points of each trail, or 0 for none"
            ),
            Refusal::NotATime => write!(f, "since must be a number: milliseconds since 1970 UTC"),
            Refusal::NotTrue(field) => write!(f, "{field} must be true"),
            Refusal::BadPosition(error) => error.fmt(f),
            Refusal::WrongUser(declared) => {
                write!(
                    f,
                    "this connection is user {declared}; be somebody else on another connection"
                )
            }
            Refusal::Unauthorized => write!(
                f,
                "show who you are first: put a token into a hello, or send one alone"
            ),
            Refusal::MayNotFollow(1, first) => {
                write!(f, "your token does not let you follow {first}")
            }
            Refusal::MayNotFollow(count, first) => write!(
                f,
                "your token does not let you follow {count} of these users, the first of them {first}"
            ),
            Refusal::MayNotFollowEveryone => write!(
                f,
                "not everyone may be followed here: it takes a token whose follow is \"*\", or without tokens a server with --follow-all"
            ),
            Refusal::MayNotPublish(user) => {
                write!(f, "your token does not let you send positions of {user}")
            }
            Refusal::TooFast(rate) => write!(
                f,
                "a connection sends at most {rate} positions a second: send fewer"
            ),
            Refusal::TooManyFollows(count, max, first) => write!(
                f,
                "a connection follows at most {max} users: {count} left out, the first of them {first}; unfollow some"
            ),
            Refusal::TooManyFollowsTotal(count, first) => write!(
                f,
                "the server has no room for more follows: {count} left out, the first of them {first}; try again later"
            ),
        }
    }
}

const ID_RULE: &str = "a user id is a string of 1 to 64 bytes without control characters, or an integer of at most 64 characters";
const _: () = assert!(ID_BYTES_MAX == 64, "ID_RULE says the limit in words");

/// Longest piece of a client's own text that an error message quotes, in bytes.
const QUOTE_BYTES_MAX: usize = 80;

/// The client's own words, short enough for an error message.
pub fn quote(json: &str) -> String {
    if json.len() <= QUOTE_BYTES_MAX {
        return json.to_owned();
    }
    format!("{}…", &json[..json.floor_char_boundary(QUOTE_BYTES_MAX)])
}
