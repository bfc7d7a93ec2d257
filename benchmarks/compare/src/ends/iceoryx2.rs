//! The iceoryx2 crate, publish-subscribe of byte slices: polled, and woken by an event of the same
//! name.
//!
//! Its best settings for one sender and one receiver that must not lose a frame. They are no
//! overflow, one port of each kind, the retry that spins, one loan at a time.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use anyhow::{Result, anyhow};
use iceoryx2::port::update_connections::UpdateConnections as _;
use iceoryx2::port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::{event, publish_subscribe};

use super::transport::{Receiver, Sender, Shape, Transport, until};

type Port<T> = publish_subscribe::PortFactory<ipc::Service, T, ()>;

pub(crate) trait Mode {
    const EVENT: bool;
}

pub(crate) struct PolledMode;
pub(crate) struct EventMode;

impl Mode for PolledMode {
    const EVENT: bool = false;
}
impl Mode for EventMode {
    const EVENT: bool = true;
}

pub(crate) struct Iceoryx2<M>(PhantomData<M>);
pub(crate) type Polled = Iceoryx2<PolledMode>;
pub(crate) type Event = Iceoryx2<EventMode>;

/// Fields are dropped in this order: ports before their service before its node.
pub(crate) struct Subscribed {
    pub(super) subscriber: Subscriber<ipc::Service, [u8], ()>,
    pub(super) listener: Option<Listener<ipc::Service>>,
    _service: Port<[u8]>,
    _node: Node<ipc::Service>,
}

pub(crate) struct Publishing {
    publisher: Publisher<ipc::Service, [u8], ()>,
    notifier: Option<Notifier<ipc::Service>>,
    bytes: usize,
    _service: Port<[u8]>,
    _node: Node<ipc::Service>,
}

pub(super) fn failed(error: impl Debug) -> anyhow::Error {
    anyhow!("iceoryx2: {error:?}")
}

fn node() -> Result<Node<ipc::Service>> {
    set_log_level_from_env_or(LogLevel::Error);
    NodeBuilder::new().signal_handling_mode(SignalHandlingMode::Disabled).create().map_err(failed)
}

fn service(node: &Node<ipc::Service>, name: &str, shape: Shape) -> Result<Port<[u8]>> {
    node.service_builder(&name.try_into().map_err(failed)?)
        .publish_subscribe::<[u8]>()
        .payload_alignment(Alignment::new(64).ok_or_else(|| anyhow!("64 is an alignment"))?)
        .subscriber_max_buffer_size(shape.depth)
        .subscriber_max_borrowed_samples(1)
        .history_size(0)
        .enable_safe_overflow(false)
        .max_publishers(1)
        .max_subscribers(1)
        .open_or_create()
        .map_err(failed)
}

fn event_service(node: &Node<ipc::Service>, name: &str) -> Result<event::PortFactory<ipc::Service>> {
    node.service_builder(&name.try_into().map_err(failed)?)
        .event()
        .max_listeners(1)
        .max_notifiers(1)
        .event_id_max_value(1)
        .open_or_create()
        .map_err(failed)
}

impl<M: Mode> Transport for Iceoryx2<M> {
    type Receiver = Subscribed;
    type Sender = Publishing;

    fn receiver(name: &str, shape: Shape) -> Result<Subscribed> {
        let node = node()?;
        let listener = if M::EVENT {
            Some(event_service(&node, name)?.listener_builder().create().map_err(failed)?)
        } else {
            None
        };
        let service = service(&node, name, shape)?;
        let subscriber = service.subscriber_builder().create().map_err(failed)?;
        Ok(Subscribed { subscriber, listener, _service: service, _node: node })
    }

    fn sender(name: &str, shape: Shape) -> Result<Publishing> {
        let node = node()?;
        let service = service(&node, name, shape)?;
        until("the subscriber", || Ok((service.dynamic_config().number_of_subscribers() > 0).then_some(())))?;
        let notifier = if M::EVENT {
            Some(event_service(&node, name)?.notifier_builder().create().map_err(failed)?)
        } else {
            None
        };
        let publisher = service
            .publisher_builder()
            .initial_max_slice_len(shape.bytes)
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(failed)?;
        publisher.update_connections().map_err(failed)?;
        Ok(Publishing { publisher, notifier, bytes: shape.bytes, _service: service, _node: node })
    }
}

impl Receiver for Subscribed {
    fn take<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        loop {
            if let Some(sample) = self.subscriber.receive().map_err(failed)? {
                return Ok(look(sample.payload()));
            }
            match &self.listener {
                Some(listener) => {
                    listener.timed_wait(|_| (), Duration::from_secs(1)).map_err(failed)?;
                }
                None => std::hint::spin_loop(),
            }
        }
    }
}

impl Publishing {
    fn notify(&self) -> Result<()> {
        if let Some(notifier) = &self.notifier {
            notifier.notify().map_err(failed)?;
        }
        Ok(())
    }
}

impl Sender for Publishing {
    fn copy(&mut self, frame: &[u8]) -> Result<()> {
        let sample = self.publisher.loan_slice_uninit(frame.len()).map_err(failed)?;
        sample.write_from_slice(frame).send().map_err(failed)?;
        self.notify()
    }

    fn loan(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let mut sample = self.publisher.loan_slice_uninit(self.bytes).map_err(failed)?;
        let memory = sample.payload_mut();
        // SAFETY: the bytes are memory of a shared object, which the system zeroes before anybody
        // sees it. Any byte is a u8, and the sample is borrowed for as long as the slice lives.
        fill(unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), memory.len()) });
        // SAFETY: as above: shared memory holds bytes already.
        unsafe { sample.assume_init() }.send().map_err(failed)?;
        self.notify()
    }
}
