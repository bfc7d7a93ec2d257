//! The examples run.
// What `main` does besides is for people.
#![allow(dead_code)]

#[path = "../../examples/event_loop.rs"]
mod event_loop;
#[path = "../../examples/tokio_service.rs"]
mod tokio_service;
#[path = "../../examples/two_cameras.rs"]
mod two_cameras;

#[test]
fn event_loop() {
    event_loop::example().unwrap();
}

#[test]
fn tokio_service() {
    tokio_service::example().unwrap();
}

#[test]
fn two_cameras() {
    two_cameras::example().unwrap();
}
