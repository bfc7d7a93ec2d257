//! When a waiting reader looks around.

use super::*;
use std::time::Duration;

#[test]
fn a_wait_ends_when_the_writer_is_to_be_judged() {
    let watch = WriterWatch::new();
    let at = |millis| watch.judged + Duration::from_millis(millis);
    assert_eq!(watch.due(at(30)), at(50), "a slice from here would be 30 ms late");
    assert_eq!(watch.due(at(0)), at(50));
    assert_eq!(watch.due(at(70)), at(120), "nobody was there to be judged");
}
