//! Options, by key: new ones change no interface, and an old library says that it does not know
//! one.

use crate::{
    arguments::{Out, text, time},
    border::border,
    fault::Fault,
    slots::Kind,
    status::zb_status::{self, ZB_OK},
    table::Table,
};
use std::{
    ffi::c_char,
    num::NonZeroUsize,
    ptr,
    sync::{Arc, Mutex, PoisonError},
};
use zerobuffer::{
    BroadcastConfig, BufferConfig, FullRingPolicy, Owner, SlowPolicy, WaitStrategy, WriterConfig,
    duplex::{ClientConfig, ProcessingMode, ServerConfig},
};

/// Reader, server: bytes of the ring, 1 MiB by default.
pub const ZB_RING_SIZE: i32 = 1;
/// Reader, server: bytes of the metadata block, 8 of which are the length; 1024 by default.
pub const ZB_METADATA_SIZE: i32 = 2;
/// Reader, server, client: permission bits of what it creates, 0600 by default.
pub const ZB_MODE: i32 = 3;
/// All: how it waits, a ZB_WAIT_ value.
pub const ZB_WAIT: i32 = 4;
/// Reader, server: 1 (default): the ring's pages are mapped at once. 0: at first touch.
pub const ZB_PREFAULT: i32 = 5;
/// Reader, server, client: 1: other sessions of Windows can find the buffer.
pub const ZB_GLOBAL: i32 = 6;
/// Writer, server, client: ns that one write waits for room, negative for ever; 5 s by default.
pub const ZB_WRITE_TIMEOUT: i32 = 7;
/// Writer, client: ns to wait for the other end to appear; by default it does not wait.
pub const ZB_CONNECT_TIMEOUT: i32 = 8;
/// Writer: what happens when the ring is full, a ZB_FULL_ value.
pub const ZB_FULL_RING: i32 = 9;
/// Writer, server, client, broadcaster: whose buffers it attaches to: ZB_OWNER_TRUSTED,
/// ZB_OWNER_ANY, or the number of one more user.
pub const ZB_OWNER: i32 = 10;
/// Writer: 1: frames go through the whole ring in turn; taps see each for longer.
pub const ZB_WHOLE_RING: i32 = 11;
/// Client: bytes of the response ring; by default as large as the request ring.
pub const ZB_RESPONSE_SIZE: i32 = 12;
/// Client: bytes of the response buffer's metadata block; 4096 by default.
pub const ZB_RESPONSE_METADATA_SIZE: i32 = 13;
/// Server: threads that call the handler, 1 by default; 0: one per processor.
pub const ZB_THREADS: i32 = 14;
/// Server: 0: it stops when its client has gone. 1 (default): it serves the next one.
pub const ZB_PERSISTENT: i32 = 15;
/// Server: ns without a client after which that is reported; negative (default): never.
pub const ZB_CLIENT_TIMEOUT: i32 = 16;

/// Broadcaster: what becomes of a frame for which a subscriber's ring has no room. A ZB_SLOW_
/// value, or how long that subscriber is waited for, ns.
pub const ZB_SLOW: i32 = 17;
/// Broadcaster: how many subscribers are connected at once, 64 by default.
pub const ZB_MAX_SUBSCRIBERS: i32 = 18;

/// Sleep at once.
pub const ZB_WAIT_BLOCK: i64 = 0;
/// Spin for some microseconds where that has helped lately, then sleep. The default.
pub const ZB_WAIT_ADAPTIVE: i64 = 1;
/// Never sleep: one processor at 100 %.
pub const ZB_WAIT_SPIN: i64 = 2;

/// Wait for room, at most the write timeout. The default.
pub const ZB_FULL_BLOCK: i64 = 0;
/// ZB_FULL at once.
pub const ZB_FULL_REFUSE: i64 = 1;
/// Drop the new frame and count it: ZB_DROPPED.
pub const ZB_FULL_DROP: i64 = 2;

/// The own user's and root's. The default.
pub const ZB_OWNER_TRUSTED: i64 = -1;
/// Anybody's.
pub const ZB_OWNER_ANY: i64 = -2;

/// The subscriber misses the frame, which is counted. The default.
pub const ZB_SLOW_DROP: i64 = -1;
/// The subscriber is disconnected, until it creates its buffer anew.
pub const ZB_SLOW_DISCONNECT: i64 = -2;

/// Options of an endpoint. They may be used for any number of endpoints, and be freed after each.
#[derive(Debug)]
pub struct zb_options {
    _opaque: (),
}

const KEYS: usize = 19;

/// The values that were set, by key.
pub(crate) type Values = [Option<i64>; KEYS];

#[derive(Clone, Debug, Default)]
struct Set {
    values: Values,
    /// Of some subscribers of a broadcast.
    slow: Vec<(String, i64)>,
}

static OPTIONS: Table<(), Arc<Mutex<Set>>> = Table::new(Kind::Options, "options object");

/// Makes options that have all defaults. Any thread.
///
/// # Safety
///
/// `options` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_options_new(options: *mut *mut zb_options) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(options, "options") }?;
        out.set(ptr::null_mut());
        out.set(OPTIONS.insert((), Arc::default())?);
        Ok(ZB_OK)
    })
}

/// Sets one option, such as ZB_RING_SIZE. An unknown key or an impossible value is
/// ZB_INVALID_ARGUMENT; sizes are judged when they are used. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_options_set(options: *mut zb_options, key: i32, value: i64) -> zb_status {
    border(|| {
        let set = OPTIONS.control(options)?;
        check(key, value)?;
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = usize::try_from(key).ok().and_then(|key| set.values.get_mut(key)) {
            *place = Some(value);
        }
        Ok(ZB_OK)
    })
}

/// As ZB_SLOW, for some subscribers: by what stands behind the @ in the names of their buffers. A *
/// at the end stands for anything. The first call that fits a subscriber counts. Any thread.
///
/// # Safety
///
/// `subscriber` is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_options_slow(
    options: *mut zb_options,
    subscriber: *const c_char,
    policy: i64,
) -> zb_status {
    border(|| {
        let set = OPTIONS.control(options)?;
        // SAFETY: the caller's promise.
        let subscriber = unsafe { text(subscriber, "the subscriber") }?;
        check(ZB_SLOW, policy)?;
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        set.slow.push((subscriber.to_owned(), policy));
        Ok(ZB_OK)
    })
}

/// Frees options. NULL is ZB_INVALID_HANDLE and harmless. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_options_free(options: *mut zb_options) -> zb_status {
    border(|| OPTIONS.close(options, |_| ()).map(|_| ZB_OK))
}

fn check(key: i32, value: i64) -> Result<(), Fault> {
    let (least, most) = match key {
        ZB_RING_SIZE | ZB_METADATA_SIZE | ZB_RESPONSE_SIZE | ZB_RESPONSE_METADATA_SIZE => (0, i64::MAX),
        ZB_MODE => (0, 0o777),
        ZB_WAIT => (ZB_WAIT_BLOCK, ZB_WAIT_SPIN),
        ZB_FULL_RING => (ZB_FULL_BLOCK, ZB_FULL_DROP),
        ZB_OWNER => (ZB_OWNER_ANY, i64::from(u32::MAX)),
        ZB_SLOW => (ZB_SLOW_DISCONNECT, i64::MAX),
        ZB_MAX_SUBSCRIBERS => (1, i64::from(u32::MAX)),
        ZB_PREFAULT | ZB_GLOBAL | ZB_WHOLE_RING | ZB_PERSISTENT => (0, 1),
        ZB_THREADS => (0, 1024),
        ZB_WRITE_TIMEOUT | ZB_CONNECT_TIMEOUT | ZB_CLIENT_TIMEOUT => (i64::MIN, i64::MAX),
        other => {
            return Err(Fault::argument(format!(
                "there is no option {other}: this library may be older than its header"
            )));
        }
    };
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Fault::argument(format!("option {key} = {value} is not possible: {least} to {most} is")))
}

/// What was set; NULL stands for all defaults. An option that does not concern `what` is refused.
pub(crate) fn values(options: *const zb_options, what: &str, concerned: &[i32]) -> Result<Values, Fault> {
    let set = set(options, what, concerned)?;
    if set.slow.is_empty() {
        Ok(set.values)
    } else {
        Err(Fault::argument(format!("zb_options_slow is none of a {what}")))
    }
}

fn set(options: *const zb_options, what: &str, concerned: &[i32]) -> Result<Set, Fault> {
    if options.is_null() {
        return Ok(Set::default());
    }
    let set = OPTIONS.control(options)?.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (key, value) in (0..).zip(&set.values) {
        if value.is_some() && !concerned.contains(&key) {
            return Err(Fault::argument(format!("option {key} is none of a {what}")));
        }
    }
    Ok(set)
}

fn get(values: &Values, key: i32) -> Option<i64> {
    values.get(usize::try_from(key).ok()?).copied().flatten()
}

fn size(values: &Values, key: i32) -> Option<u64> {
    get(values, key).and_then(|value| u64::try_from(value).ok())
}

fn flag(values: &Values, key: i32) -> Option<bool> {
    get(values, key).map(|value| value != 0)
}

fn mode(values: &Values) -> Option<u32> {
    get(values, ZB_MODE).and_then(|mode| u32::try_from(mode).ok())
}

fn wait(values: &Values) -> WaitStrategy {
    match get(values, ZB_WAIT) {
        Some(ZB_WAIT_BLOCK) => WaitStrategy::Block,
        Some(ZB_WAIT_SPIN) => WaitStrategy::Spin,
        _ => WaitStrategy::default(),
    }
}

fn owner(values: &Values) -> Owner {
    match get(values, ZB_OWNER) {
        Some(ZB_OWNER_ANY) => Owner::Any,
        Some(user) => u32::try_from(user).map_or_else(|_| Owner::default(), Owner::User),
        None => Owner::default(),
    }
}

const OF_BUFFER: [i32; 6] = [ZB_RING_SIZE, ZB_METADATA_SIZE, ZB_MODE, ZB_WAIT, ZB_PREFAULT, ZB_GLOBAL];

fn buffer(values: &Values) -> BufferConfig {
    fit(size(values, ZB_RING_SIZE).map_or_else(BufferConfig::default, BufferConfig::ring), values)
}

/// All but the size of the ring.
fn fit(mut config: BufferConfig, values: &Values) -> BufferConfig {
    if let Some(bytes) = size(values, ZB_METADATA_SIZE) {
        config = config.metadata(bytes);
    }
    if let Some(mode) = mode(values) {
        config = config.mode(mode);
    }
    let prefault = flag(values, ZB_PREFAULT).unwrap_or(true);
    config.wait(wait(values)).prefault(prefault).global(flag(values, ZB_GLOBAL).unwrap_or(false))
}

pub(crate) fn reader(options: *const zb_options) -> Result<BufferConfig, Fault> {
    Ok(buffer(&values(options, "reader", &OF_BUFFER)?))
}

pub(crate) fn writer(options: *const zb_options) -> Result<WriterConfig, Fault> {
    let concerned = [ZB_WAIT, ZB_WRITE_TIMEOUT, ZB_CONNECT_TIMEOUT, ZB_FULL_RING, ZB_OWNER, ZB_WHOLE_RING];
    let values = values(options, "writer", &concerned)?;
    let mut config = WriterConfig::default().wait(wait(&values)).owner(owner(&values));
    if let Some(ns) = get(&values, ZB_WRITE_TIMEOUT) {
        config = config.write_timeout(time(ns));
    }
    if let Some(ns) = get(&values, ZB_CONNECT_TIMEOUT) {
        config = config.connect_timeout(time(ns));
    }
    let policy = match get(&values, ZB_FULL_RING) {
        Some(ZB_FULL_REFUSE) => FullRingPolicy::Refuse,
        Some(ZB_FULL_DROP) => FullRingPolicy::DropNewest,
        _ => FullRingPolicy::Block,
    };
    Ok(config.full_ring(policy).whole_ring(flag(&values, ZB_WHOLE_RING).unwrap_or(false)))
}

/// What a subscriber's buffer is to be: by default as large as the buffer of the broadcast.
pub(crate) fn subscriber(options: *const zb_options, name: &str) -> Result<BufferConfig, Fault> {
    let values = values(options, "subscriber", &OF_BUFFER)?;
    let base = match size(&values, ZB_RING_SIZE) {
        Some(bytes) => BufferConfig::ring(bytes),
        None => BufferConfig::for_subscriber(name),
    };
    Ok(fit(base, &values))
}

pub(crate) fn broadcaster(options: *const zb_options) -> Result<BroadcastConfig, Fault> {
    let concerned = [ZB_WAIT, ZB_OWNER, ZB_SLOW, ZB_MAX_SUBSCRIBERS];
    let Set { values, slow } = set(options, "broadcaster", &concerned)?;
    let mut config = BroadcastConfig::default().wait(wait(&values)).owner(owner(&values));
    if let Some(policy) = get(&values, ZB_SLOW) {
        config = config.policy(slow_policy(policy));
    }
    for (subscriber, policy) in slow {
        config = config.policy_for(&subscriber, slow_policy(policy));
    }
    let most = size(&values, ZB_MAX_SUBSCRIBERS).and_then(|most| usize::try_from(most).ok());
    Ok(match most.and_then(NonZeroUsize::new) {
        Some(most) => config.max_subscribers(most),
        None => config,
    })
}

fn slow_policy(value: i64) -> SlowPolicy {
    match (value, time(value)) {
        (ZB_SLOW_DISCONNECT, _) => SlowPolicy::Disconnect,
        (_, Some(time)) => SlowPolicy::Block(time),
        (_, None) => SlowPolicy::Drop,
    }
}

/// And how long to wait for the server, ns.
pub(crate) fn client(options: *const zb_options) -> Result<(ClientConfig, i64), Fault> {
    let concerned = [
        ZB_MODE,
        ZB_WAIT,
        ZB_GLOBAL,
        ZB_WRITE_TIMEOUT,
        ZB_CONNECT_TIMEOUT,
        ZB_OWNER,
        ZB_RESPONSE_SIZE,
        ZB_RESPONSE_METADATA_SIZE,
    ];
    let values = values(options, "client", &concerned)?;
    let mut config = ClientConfig::default().wait(wait(&values)).owner(owner(&values));
    config = config.global(flag(&values, ZB_GLOBAL).unwrap_or(false));
    if let Some(mode) = mode(&values) {
        config = config.mode(mode);
    }
    if let Some(bytes) = size(&values, ZB_RESPONSE_SIZE) {
        config = config.response_size(bytes);
    }
    if let Some(bytes) = size(&values, ZB_RESPONSE_METADATA_SIZE) {
        config = config.response_metadata_size(bytes);
    }
    if let Some(ns) = get(&values, ZB_WRITE_TIMEOUT) {
        config = config.write_timeout(time(ns));
    }
    Ok((config, get(&values, ZB_CONNECT_TIMEOUT).unwrap_or(0)))
}

pub(crate) fn server(options: *const zb_options) -> Result<ServerConfig, Fault> {
    let own = [ZB_WRITE_TIMEOUT, ZB_OWNER, ZB_THREADS, ZB_PERSISTENT, ZB_CLIENT_TIMEOUT];
    let values = values(options, "server", &[&OF_BUFFER[..], &own].concat())?;
    let mut config =
        ServerConfig::default().buffer(buffer(&values)).wait(wait(&values)).owner(owner(&values));
    config = match get(&values, ZB_THREADS).map(usize::try_from) {
        None | Some(Ok(1) | Err(_)) => config,
        Some(Ok(threads)) => config.mode(
            NonZeroUsize::new(threads).map_or_else(ProcessingMode::thread_pool, ProcessingMode::ThreadPool),
        ),
    };
    if let Some(ns) = get(&values, ZB_WRITE_TIMEOUT) {
        config = config.write_timeout(time(ns));
    }
    if let Some(ns) = get(&values, ZB_CLIENT_TIMEOUT) {
        config = config.client_timeout(time(ns));
    }
    Ok(config.persistent(flag(&values, ZB_PERSISTENT).unwrap_or(true)))
}
