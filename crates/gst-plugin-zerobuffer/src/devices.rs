//! Buffers that wait for a sender, for `gst-device-monitor-1.0`.
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use zerobuffer::observe;

use crate::pictures::incoming;
use crate::port::lock;

/// How often a started provider looks for buffers that have come or gone.
const LOOK: Duration = Duration::from_millis(500);

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("zerodeviceprovider", gst::DebugColorFlags::empty(), Some("buffers as devices"))
});

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Provider {
        /// What ends the thread that looks, and the thread.
        pub(super) watch: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Provider {
        const NAME: &'static str = "GstZeroDeviceProvider";
        type Type = super::Provider;
        type ParentType = gst::DeviceProvider;
    }

    impl ObjectImpl for Provider {}
    impl GstObjectImpl for Provider {}

    impl DeviceProviderImpl for Provider {
        fn metadata() -> Option<&'static gst::subclass::DeviceProviderMetadata> {
            static METADATA: LazyLock<gst::subclass::DeviceProviderMetadata> = LazyLock::new(|| {
                gst::subclass::DeviceProviderMetadata::new(
                    "ZeroBuffer buffers",
                    "Sink/Video",
                    "Lists the buffers in shared memory whose readers live",
                    "The ZeroBuffer developers",
                )
            });
            Some(&METADATA)
        }

        fn probe(&self) -> Vec<gst::Device> {
            super::found().into_iter().map(|(_, device)| device).collect()
        }

        fn start(&self) -> Result<(), gst::LoggableError> {
            let provider = self.obj().downgrade();
            let mut shown = Shown::default();
            // What is there now is known when this returns.
            shown.update(self.obj().upcast_ref());
            let (end, ended) = channel();
            let thread = std::thread::Builder::new()
                .name(String::from("zerodevices"))
                .spawn(move || watch(&provider, shown, &ended))
                .map_err(|error| gst::loggable_error!(CAT, "no thread to look for buffers: {error}"))?;
            *lock(&self.watch) = Some((end, thread));
            Ok(())
        }

        fn stop(&self) {
            let Some((end, thread)) = lock(&self.watch).take() else { return };
            drop(end);
            if thread.join().is_err() {
                gst::error!(CAT, imp = self, "the thread that looks for buffers has panicked");
            }
        }
    }

    #[derive(Default)]
    pub struct Device {
        pub name: Mutex<String>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Device {
        const NAME: &'static str = "GstZeroDevice";
        type Type = super::Device;
        type ParentType = gst::Device;
    }

    impl ObjectImpl for Device {}
    impl GstObjectImpl for Device {}

    impl DeviceImpl for Device {
        fn create_element(&self, name: Option<&str>) -> Result<gst::Element, gst::LoggableError> {
            gst::ElementFactory::make("zerosink")
                .name_if_some(name)
                .property("buffer-name", lock(&self.name).as_str())
                .build()
                .map_err(|error| gst::loggable_error!(gst::CAT_RUST, "{error}"))
        }
    }
}

glib::wrapper! {
    /// Lists buffers.
    pub struct Provider(ObjectSubclass<imp::Provider>) @extends gst::DeviceProvider, gst::Object;
}

glib::wrapper! {
    /// One buffer.
    pub struct Device(ObjectSubclass<imp::Device>) @extends gst::Device, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::DeviceProvider::register(
        Some(plugin),
        "zerodeviceprovider",
        gst::Rank::PRIMARY,
        Provider::static_type(),
    )
}

/// What tells one device from the next: its shown name and its reader.
type Key = (String, u64);

/// The devices that a started provider has.
#[derive(Default)]
struct Shown(HashMap<Key, gst::Device>);

impl Shown {
    /// Tells of buffers that have come or gone.
    fn update(&mut self, provider: &gst::DeviceProvider) {
        let mut present: HashMap<Key, gst::Device> = found().into_iter().collect();
        self.0.retain(|key, device| {
            let stays = present.remove(key).is_some();
            if !stays {
                provider.device_remove(device);
            }
            stays
        });
        for (key, device) in present {
            provider.device_add(&device);
            self.0.insert(key, device);
        }
    }
}

/// The body of the thread of a started provider.
fn watch(provider: &glib::WeakRef<Provider>, mut shown: Shown, ended: &Receiver<()>) {
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let Some(provider) = provider.upgrade() else { return };
        shown.update(provider.upcast_ref());
    }
}

/// Every buffer whose reader lives.
fn found() -> Vec<(Key, gst::Device)> {
    let buffers = observe::list().unwrap_or_default();
    buffers.into_iter().filter_map(|info| device(&info)).collect()
}

fn device(info: &observe::BufferInfo) -> Option<(Key, gst::Device)> {
    let reader = info.reader.as_ref().filter(|reader| reader.alive)?;
    let caps =
        info.metadata.as_deref().and_then(|metadata| incoming(metadata).ok()).and_then(|(caps, _)| caps);
    let state = if info.writer.is_some() { "in use" } else { "waits for a sender" };
    let properties = gst::Structure::builder("zerobuffer")
        .field("buffer-name", &info.name)
        .field("ring-bytes", info.payload_size)
        .field("reader-pid", reader.pid)
        .field("state", state)
        .build();
    let shown = format!("{} ({state})", info.name);
    let device: Device = glib::Object::builder()
        .property("display-name", &shown)
        .property("device-class", "Sink/Video")
        .property("caps", caps.unwrap_or_else(gst::Caps::new_any))
        .property("properties", properties)
        .build();
    lock(&device.imp().name).clone_from(&info.name);
    Some(((shown, reader.pid), device.upcast()))
}
