//! What is said of users besides where they are: what they are called, and that they leave.

use super::authority::Authority;
use super::keys::RunnerKey;
use super::names::NamedBy;
use super::service::Relay;
use crate::refusal::{Refusal, quote};
use crate::roster::Roster;

impl Relay {
    /// Has the user whom a member declared be called so, as far as nobody else says how.
    ///
    /// # Errors
    /// The member is nobody, or has no grant where one is needed.
    pub(crate) fn call(&mut self, by: &Authority, name: &str) -> Result<(), Refusal> {
        let runner = self.own_runner(by)?.ok_or(Refusal::NameOfNobody)?;
        self.hub.set_name(runner, NamedBy::Hello, Some(name));
        self.hub.note_said(runner, NamedBy::Hello, Some(name));
        Ok(())
    }

    /// Takes the name in an authority's grant, if there is one: to be called of whoever declared the
    /// grant's user, or published for it.
    pub(super) fn call_as_granted(&mut self, by: &Authority) {
        if let Some(grant) = by.grant()
            && let Some(name) = &grant.name
            && let Some(runner) = self.hub.runner(&grant.user)
        {
            self.hub.set_name(runner, NamedBy::Token, Some(name));
            self.hub.note_said(runner, NamedBy::Token, Some(name));
        }
    }

    /// The user whom [`Relay::forget`] would be about, if the authority says goodbye.
    ///
    /// # Errors
    /// It is nobody, or may not publish for its user.
    pub(crate) fn leaving(&mut self, by: &Authority) -> Result<RunnerKey, Refusal> {
        let runner = self.own_runner(by)?.ok_or(Refusal::GoodbyeOfNobody)?;
        let (user, member) = (self.hub.id(runner), by.member());
        match by.grant() {
            Some(grant) if !grant.may_publish(user) => {
                let json = member.map(|member| self.hub.declaration(member));
                Err(Refusal::MayNotPublish(quote(&json.unwrap_or_default())))
            }
            _ => Ok(runner),
        }
    }

    /// Forgets where a user is, and what it called itself. To be called when all is on its way that
    /// was owed of it: a position behind the word of this would be one of a user who came back.
    pub(crate) fn forget(&mut self, runner: RunnerKey) {
        self.hub.set_name(runner, NamedBy::Hello, None);
        self.hub.note_said(runner, NamedBy::Hello, None);
        self.hub.forget_last_known(runner);
    }

    /// Has users be called as on this roster, and no longer as on the one before.
    pub(crate) fn set_roster(&mut self, roster: Roster) {
        self.hub.set_roster(roster);
    }

    /// The user whom a member declared.
    fn own_runner(&mut self, by: &Authority) -> Result<Option<RunnerKey>, Refusal> {
        self.admit(by)?;
        Ok(by.member().and_then(|member| self.hub.declared(member)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::auth::{Follow, Grant, Publish};
    use crate::dialect::Dialect;
    use crate::relay::model::fix;
    use crate::relay::{Now, Rules};
    use crate::user::UserId;

    fn relay(needs_grant: bool) -> Relay {
        Relay::new(Rules {
            needs_grant,
            follows_all: false,
            follows_max: 10,
            follows_total_max: 10,
            rate_max: None,
            last_known_max: 10,
            trail_points_max: 10,
            trail_bytes_max: usize::MAX,
            stale_after: Duration::from_secs(60),
            forget_after: Duration::from_secs(60),
        })
    }

    fn now() -> Now {
        Now {
            monotonic: Instant::now(),
            unix_ms: 1.7e12,
        }
    }

    fn grant(publish: Publish, name: Option<&str>) -> Grant {
        Grant {
            user: "5".to_owned(),
            publish,
            follow: Follow::Everybody,
            name: name.map(str::to_owned),
            expires_at_s: 2_000_000_000,
        }
    }

    /// Name and colour of a user; `None` of one whom nobody knows.
    fn called(relay: &Relay, user: &str) -> Option<(Option<String>, Option<String>)> {
        let called = relay.called(relay.hub.runner(user)?);
        Some((
            called.name.map(str::to_owned),
            called.color.map(str::to_owned),
        ))
    }

    fn name(relay: &Relay, user: &str) -> Option<String> {
        called(relay, user)?.0
    }

    #[test]
    fn the_roster_outranks_the_token_and_that_the_hello() {
        let mut relay = relay(true);
        let mut five = Authority::of_member(relay.join(), None);
        assert_eq!(relay.call(&five, "x"), Err(Refusal::Unauthorized));
        let mut renew = |relay: &mut Relay, name| {
            let renewed = relay.renew(&mut five, grant(Publish::Own, name), false);
            assert_eq!(renewed, Ok(None));
            relay.admit(&five).expect("a grant");
        };
        renew(&mut relay, None);
        assert_eq!(name(&relay, "5"), None);
        renew(&mut relay, Some("Token"));
        assert_eq!(name(&relay, "5").as_deref(), Some("Token"));
        renew(&mut relay, None);
        assert_eq!(name(&relay, "5").as_deref(), Some("Token"), "as it was");
        renew(&mut relay, Some("Other"));
        assert_eq!(relay.call(&five, "Hello"), Ok(()));
        assert_eq!(name(&relay, "5").as_deref(), Some("Other"));
        let roster = |text: &str| Roster::read(text.as_bytes()).expect("a roster");
        relay.set_roster(roster("id,name,color\n5,Roster,#cc3300\n6,Six,\n"));
        let expected = ("Roster".to_owned(), "#cc3300".to_owned());
        assert_eq!(
            called(&relay, "5"),
            Some((Some(expected.0), Some(expected.1)))
        );
        relay.set_roster(roster("id,name\n6,Six\n"));
        assert_eq!(called(&relay, "5"), Some((Some("Other".to_owned()), None)));
    }

    #[test]
    fn a_report_brings_the_name_of_the_tokens_own_user_and_of_no_other() {
        let mut relay = relay(true);
        let gateway = Authority::of_request(Some(grant(Publish::Everybody, Some("Anna"))));
        relay.report(&gateway, "6", fix("1", None), Dialect::Osmand, now());
        assert_eq!(name(&relay, "6"), None);
        assert_eq!(called(&relay, "5"), None);
        relay.report(&gateway, "5", fix("1", None), Dialect::Osmand, now());
        assert_eq!(name(&relay, "5").as_deref(), Some("Anna"));
        let nameless = Authority::of_request(Some(grant(Publish::Own, None)));
        relay.report(&nameless, "5", fix("2", None), Dialect::Osmand, now());
        assert_eq!(name(&relay, "5").as_deref(), Some("Anna"));
    }

    #[test]
    fn a_name_lasts_as_long_as_a_position_or_a_member_of_its_user() {
        let mut relay = relay(false);
        let five = UserId::from_integer("5").expect("an id");
        let watcher = Authority::of_member(relay.join(), None);
        relay.follow(&watcher, std::slice::from_ref(&five), 0, &mut Vec::new());
        assert_eq!(relay.call(&watcher, "W"), Err(Refusal::NameOfNobody));
        let come = |relay: &mut Relay| {
            let authority = Authority::of_member(relay.join(), None);
            relay.declare(&authority, &five).expect("free");
            authority
        };
        let leave = |relay: &mut Relay, authority: &Authority| {
            relay.leave(authority.member().expect("a member"));
        };
        let (first, second) = (come(&mut relay), come(&mut relay));
        assert_eq!(relay.call(&first, "First"), Ok(()));
        assert_eq!(relay.call(&second, "Last"), Ok(()));
        leave(&mut relay, &second);
        assert_eq!(name(&relay, "5").as_deref(), Some("Last"));
        leave(&mut relay, &first);
        assert_eq!(
            called(&relay, "5"),
            Some((None, None)),
            "followed, and no more"
        );

        let mut third = come(&mut relay);
        assert_eq!(relay.call(&third, "Third"), Ok(()));
        let at = now();
        let published = relay.publish(&mut third, None, fix("1", None), at);
        assert!(published.is_ok());
        leave(&mut relay, &third);
        relay.advance(at.monotonic + Duration::from_secs(59));
        assert_eq!(name(&relay, "5").as_deref(), Some("Third"));
        relay.advance(at.monotonic + Duration::from_secs(61));
        assert_eq!(called(&relay, "5"), Some((None, None)));
    }

    #[test]
    fn goodbye_ends_the_position_and_leaves_what_the_token_says() {
        let mut relay = relay(true);
        let mut five = Authority::of_member(relay.join(), Some(grant(Publish::Own, Some("Token"))));
        assert_eq!(relay.call(&five, "Hello"), Ok(()));
        let published = relay.publish(&mut five, None, fix("1", None), now());
        assert!(published.is_ok());
        let runner = relay.leaving(&five).expect("it may");
        relay.forget(runner);
        assert!(relay.known(runner, Instant::now()).is_none());
        assert_eq!(relay.known_total(), 0);
        assert_eq!(name(&relay, "5").as_deref(), Some("Token"));
        relay.forget(runner);
        let published = relay.publish(&mut five, None, fix("2", None), now());
        assert!(published.is_ok() && relay.known_total() == 1, "it is back");
    }

    #[test]
    fn goodbye_forgets_what_the_user_called_itself() {
        let mut relay = relay(false);
        let five = UserId::from_integer("5").expect("an id");
        let authority = Authority::of_member(relay.join(), None);
        relay.declare(&authority, &five).expect("free");
        assert_eq!(relay.call(&authority, "Anna"), Ok(()));
        let runner = relay.leaving(&authority).expect("it may");
        relay.forget(runner);
        assert_eq!(called(&relay, "5"), Some((None, None)));
    }

    #[test]
    fn who_may_not_say_goodbye_is_told_why() {
        let mut relay = relay(true);
        let stranger = Authority::of_member(relay.join(), None);
        assert_eq!(relay.leaving(&stranger), Err(Refusal::Unauthorized));
        let silent = Authority::of_member(relay.join(), Some(grant(Publish::Nobody, None)));
        let denied = Err(Refusal::MayNotPublish("\"5\"".to_owned()));
        assert_eq!(relay.leaving(&silent), denied);
        let mut open = self::relay(false);
        let spectator = Authority::of_member(open.join(), None);
        assert_eq!(open.leaving(&spectator), Err(Refusal::GoodbyeOfNobody));
    }
}
