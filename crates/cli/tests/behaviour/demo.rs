//! The demo on embedded data.

use crate::program::Workplace;

#[test]
fn the_demo_needs_nothing_and_leaves_nothing() {
    let place = Workplace::new();
    let ended = place.done("demo");
    assert!(ended.out.contains("The two differ"), "{}", ended.out);
    assert!(place.names().is_empty());
    assert_eq!(place.done("demo").out, ended.out, "it says the same again");
}
