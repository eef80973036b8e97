//! What can be said through a link that is up, as far as there is room for it. Must never know what it
//! is said for.

use super::link::Link;
use super::outgoing::{Due, NotTaken, Tag};
use super::resp;

impl Link {
    /// Keeps a user's position for so long and tells it: in this order, as otherwise whoever
    /// subscribes and then reads could miss it, and both or neither.
    ///
    /// # Errors
    /// There is no room, or no engine: it is to be kept in mind that the user's newest is due.
    pub(crate) fn publish(
        &mut self,
        key: &str,
        channel: &str,
        payload: &[u8],
        ttl_ms: u64,
    ) -> Result<(), NotTaken> {
        let ttl_ms = ttl_ms.to_string();
        let (key, channel) = (key.as_bytes(), channel.as_bytes());
        let set = [&b"SET"[..], key, payload, b"PX", ttl_ms.as_bytes()];
        let publish = [&b"PUBLISH"[..], channel, payload];
        self.check(resp::command_bytes(&set) + resp::command_bytes(&publish))?;
        self.outgoing.command(&set, Due::Done, 1);
        self.outgoing.command(&publish, Due::Done, 1);
        Ok(())
    }

    /// Carries out a command whose answer is of no interest unless it is an error.
    ///
    /// # Errors
    /// There is no room, or no engine.
    pub(crate) fn command(&mut self, arguments: &[&[u8]]) -> Result<(), NotTaken> {
        self.check(resp::command_bytes(arguments))?;
        self.outgoing.command(arguments, Due::Done, 1);
        Ok(())
    }

    /// Asks something; [`Event::Answer`](super::link::Event::Answer) brings the tag back.
    ///
    /// # Errors
    /// There is no room, or no engine.
    pub(crate) fn ask(&mut self, arguments: &[&[u8]], tag: Tag) -> Result<(), NotTaken> {
        self.check(resp::command_bytes(arguments))?;
        self.outgoing.command(arguments, Due::Asked(tag), 1);
        Ok(())
    }

    /// Subscribes to channels, of which there must be some.
    ///
    /// # Errors
    /// There is no room, or no engine.
    pub(crate) fn subscribe(&mut self, channels: &[&str]) -> Result<(), NotTaken> {
        self.change_subscriptions(b"SUBSCRIBE", channels)
    }

    /// Ends the subscriptions to channels, of which there must be some.
    ///
    /// # Errors
    /// There is no room, or no engine.
    pub(crate) fn unsubscribe(&mut self, channels: &[&str]) -> Result<(), NotTaken> {
        self.change_subscriptions(b"UNSUBSCRIBE", channels)
    }

    fn change_subscriptions(&mut self, word: &[u8], channels: &[&str]) -> Result<(), NotTaken> {
        debug_assert!(!channels.is_empty(), "or all would be ended");
        let mut arguments = vec![word];
        arguments.extend(channels.iter().map(|channel| channel.as_bytes()));
        self.check(resp::command_bytes(&arguments))?;
        let answers = channels.len();
        self.outgoing
            .command(&arguments, Due::Subscription, answers);
        Ok(())
    }

    fn check(&self, bytes: usize) -> Result<(), NotTaken> {
        match self.is_up() {
            true => self.outgoing.check_room(bytes),
            false => Err(NotTaken),
        }
    }
}
