//! Every deadline in made-up time.

use std::time::Duration;

use spectate::server::wire::close::CloseReason;

use crate::script::{Driver, Step, TIMEOUTS, ping, request};
use crate::transport::TRANSPORTS;

const MOMENT: Duration = Duration::from_millis(1);

const NOWHERE: &[u8] = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";

impl Driver {
    /// Nothing is due a moment before this time from now, and this is due then.
    fn expect_after(&mut self, time: Duration, expected: Result<bool, CloseReason>) {
        self.now += time - MOMENT;
        assert_eq!(
            self.connection.expire(&TIMEOUTS, self.now),
            Ok(false),
            "a moment before {time:?}"
        );
        self.now += MOMENT;
        assert_eq!(
            self.connection.expire(&TIMEOUTS, self.now),
            expected,
            "after {time:?}"
        );
    }

    /// Blocked with something owed.
    fn stall(&mut self) {
        self.connection.socket_mut().room = 1;
        let frame = self.frames.push(b"position");
        self.connection.outbox.push(frame, 0);
        assert!(self.flush().blocked);
    }
}

#[test]
fn a_dripping_request_head_does_not_extend_its_deadline() {
    for transport in TRANSPORTS {
        let mut driver = Driver::ready(transport, []);
        for byte in &request()[..4] {
            driver.then(Step::Bytes(vec![*byte]));
            driver.turn(false);
            driver.now += Duration::from_secs(1);
            assert_eq!(driver.connection.expire(&TIMEOUTS, driver.now), Ok(false));
        }
        driver.expect_after(
            TIMEOUTS.handshake - Duration::from_secs(4),
            Err(CloseReason::HandshakeTimeout),
        );
        assert!(
            !driver
                .connection
                .close(CloseReason::HandshakeTimeout, driver.now),
            "there is nobody to tell"
        );
    }
}

#[test]
fn an_http_answer_of_which_nothing_is_taken_is_dropped_after_10_s() {
    for transport in TRANSPORTS {
        let mut driver = Driver::ready(transport, [Step::Bytes(NOWHERE.to_vec())]);
        driver.connection.socket_mut().room = 10;
        driver.now += Duration::from_secs(3);
        driver.turn(false);
        assert!(driver.flush().blocked);
        driver.now += Duration::from_secs(1);
        assert_eq!(driver.flush().bytes, 0, "it tries, in vain");
        driver.expect_after(Duration::from_secs(9), Err(CloseReason::Answered));
    }
}

#[test]
fn an_http_answer_goes_on_for_as_long_as_some_of_it_is_taken() {
    for transport in TRANSPORTS {
        let mut driver = Driver::ready(transport, [Step::Bytes(NOWHERE.to_vec())]);
        driver.connection.socket_mut().room = 0;
        driver.turn(false);
        let began_at = driver.now;
        while !driver.connection.is_finished() {
            driver.now += Duration::from_secs(10) - MOMENT;
            assert_eq!(driver.connection.expire(&TIMEOUTS, driver.now), Ok(false));
            driver.connection.socket_mut().room = 1;
            driver.flush();
        }
        assert!(driver.now > began_at + Duration::from_secs(1000));
        assert!(driver.written().ends_with(b" any path\n"));
        // And then the peer has 5 s to close its side.
        driver.expect_after(Duration::from_secs(5), Err(CloseReason::Answered));
    }
}

#[test]
fn silence_brings_a_ping_and_then_the_end() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
        driver.expect_after(TIMEOUTS.ping_interval, Ok(true));
        driver.flush();
        assert_eq!(driver.written(), [0x89, 0x00]);
        driver.expect_after(TIMEOUTS.pong, Err(CloseReason::NoPong));
    }
}

#[test]
fn any_byte_counts_as_a_pong() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
        driver.expect_after(TIMEOUTS.ping_interval, Ok(true));
        driver.now += TIMEOUTS.pong - MOMENT;
        driver.then(Step::Bytes(ping("x")[..1].to_vec()));
        driver.turn(false);
        driver.expect_after(TIMEOUTS.ping_interval, Ok(true));
    }
}

#[test]
fn a_closing_handshake_takes_2_s_at_most() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
        assert!(
            driver
                .connection
                .close(CloseReason::BadMessages, driver.now)
        );
        driver.flush();
        assert!(driver.connection.is_finished());
        driver.then(Step::Bytes(b"still talking".to_vec()));
        driver.turn(false);
        driver.expect_after(Duration::from_secs(2), Err(CloseReason::BadMessages));
        assert!(
            !driver
                .connection
                .close(CloseReason::BadMessages, driver.now)
        );
    }
}

#[test]
fn a_goodbye_that_goes_out_late_does_not_extend_the_closing_handshake() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
        driver.connection.socket_mut().room = 0;
        assert!(driver.connection.close(CloseReason::Binary, driver.now));
        assert!(driver.flush().blocked);
        driver.now += Duration::from_millis(1900);
        driver.connection.socket_mut().room = usize::MAX;
        driver.flush();
        assert!(driver.connection.is_finished());
        driver.expect_after(Duration::from_millis(100), Err(CloseReason::Binary));
    }
}

#[test]
fn a_peer_that_takes_nothing_is_stalled_and_is_not_pinged() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
        driver.stall();
        driver.expect_after(TIMEOUTS.stall, Err(CloseReason::Stalled));
    }
}

#[test]
fn a_peer_that_takes_a_byte_now_and_then_stays() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
        driver.stall();
        while driver.connection.owes() {
            driver.now += TIMEOUTS.stall - MOMENT;
            assert_eq!(driver.connection.expire(&TIMEOUTS, driver.now), Ok(false));
            driver.connection.socket_mut().room = 1;
            driver.flush();
        }
        // It lives, and its silence counts from the last byte on.
        driver.expect_after(TIMEOUTS.ping_interval, Ok(true));
    }
}

#[test]
fn attempts_that_write_nothing_do_not_extend_a_stall() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
        driver.stall();
        driver.now += TIMEOUTS.stall - MOMENT;
        driver.flush();
        driver.expect_after(MOMENT, Err(CloseReason::Stalled));
    }
}
