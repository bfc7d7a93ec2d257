//! Whose buffers are attached to.

use crate::{
    config::Owner,
    error::{Error, Result},
    sys,
};
use std::env;

/// What widens the default, for programs that cannot be changed.
const VARIABLE: &str = "ZEROBUFFER_OWNER";

/// Refuses a buffer whose maker would get frames that are not meant for him.
pub(crate) fn check(name: &str, owner: u32, trusted: Owner) -> Result<()> {
    let own = sys::own_uid();
    // The guard that `attacks/` takes out to show that its attack works.
    if is_trusted(owner, own, trusted, || env::var(VARIABLE).ok()) || cfg!(unguarded = "s5") {
        Ok(())
    } else {
        Err(Error::ForeignOwner { name: name.to_owned(), owner, own })
    }
}

fn is_trusted(owner: u32, own: u32, trusted: Owner, variable: impl FnOnce() -> Option<String>) -> bool {
    if owner == own || owner == 0 {
        return true;
    }
    let trusted = match trusted {
        // What is no owner widens nothing.
        Owner::Trusted => variable().and_then(|text| text.parse().ok()).unwrap_or_default(),
        other => other,
    };
    match trusted {
        Owner::Any => true,
        Owner::User(uid) => owner == uid,
        Owner::Trusted => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_by_rows() {
        let (own, other) = (1000, 1001);
        for (owner, trusted, variable, expected) in [
            (own, Owner::Trusted, None, true),
            (0, Owner::Trusted, None, true),
            (other, Owner::Trusted, None, false),
            (65_534, Owner::Trusted, None, false),
            (other, Owner::Any, None, true),
            (other, Owner::User(other), None, true),
            (other, Owner::User(1002), None, false),
            (other, Owner::Trusted, Some("any"), true),
            (other, Owner::Trusted, Some("1001"), true),
            (other, Owner::Trusted, Some("1002"), false),
            (other, Owner::Trusted, Some("ANY"), false),
            (other, Owner::Trusted, Some(""), false),
            (other, Owner::User(1002), Some("any"), false),
        ] {
            let found = is_trusted(owner, own, trusted, || variable.map(str::to_owned));
            assert_eq!(found, expected, "{owner} {trusted:?} {variable:?}");
        }
    }
}
