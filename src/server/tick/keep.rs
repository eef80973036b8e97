//! The step that keeps what a restart is to find, after what is owed is on its way.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;

use crate::server::parts::Server;

impl Server {
    /// Writes a slice of the state, if that is due.
    pub(in crate::server) fn keep(&mut self) {
        if let Some(state) = &mut self.state {
            state.turn(&self.relay, self.now);
        }
    }

    /// Writes all of it, now that nobody is left to send anything.
    pub(in crate::server) fn keep_the_last(&mut self) {
        let Some(state) = &mut self.state else {
            return;
        };
        for signal in [SIGTERM, SIGINT] {
            // The loop no longer asks for signals, and a second one ends the process at once.
            let at_once = Arc::new(AtomicBool::new(true));
            let _ = register_conditional_shutdown(signal, 1, at_once);
        }
        state.write_all(&self.relay, self.now);
    }
}
