//! The examples run.

#[path = "../../examples/event_loop.rs"]
mod event_loop;
#[path = "../../examples/tokio_service.rs"]
mod tokio_service;
#[path = "../../examples/two_cameras.rs"]
mod two_cameras;

#[test]
fn event_loop() {
    event_loop::main().unwrap();
}

#[test]
fn tokio_service() {
    tokio_service::main().unwrap();
}

#[test]
fn two_cameras() {
    two_cameras::main().unwrap();
}
