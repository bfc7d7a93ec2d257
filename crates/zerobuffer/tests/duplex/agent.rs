//! The agent: a process that holds a duplex server or client and follows orders, line by line.

use crate::common::{Peer, check, content, process::reply};
use std::{
    num::NonZeroUsize,
    process::Command,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig, Frame,
    duplex::{BoxError, Client, ClientConfig, Failure, ProcessingMode, Responder, Server, ServerConfig},
};

const ROLE: &str = "ZEROBUFFER_TEST_DUPLEX";

#[test]
#[ignore = "entry point of helper processes, started by other tests"]
fn duplex_entry() {
    if std::env::var_os(ROLE).is_some() {
        run();
    }
}

pub(crate) fn start() -> Peer {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "agent::duplex_entry", "--ignored", "--nocapture", "--test-threads", "1"]);
    command.env(ROLE, "agent");
    Peer::start(command, "duplex agent")
}

#[derive(Default)]
struct Agent {
    server: Option<Arc<Server>>,
    client: Option<Client>,
    log: Arc<Log>,
}

/// What a server has met.
#[derive(Default)]
struct Log {
    failures: Mutex<Vec<String>>,
    inits: Mutex<Vec<String>>,
    handled: AtomicU32,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
}

fn run() {
    let mut agent = Agent::default();
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap() > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match agent.obey(&words) {
            Ok(text) => reply(format!("ok {text}").trim_end()),
            Err(error) => reply(&format!("err {error}")),
        }
        line.clear();
    }
}

fn number<T: std::str::FromStr>(words: &[&str], at: usize) -> T {
    words.get(at).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{words:?}: word {at}"))
}

fn millis(words: &[&str], at: usize) -> Duration {
    Duration::from_millis(number(words, at))
}

type Answer = Result<String, String>;

fn words_of(error: &zerobuffer::Error) -> String {
    format!("{}: {error}", crate::common::variant(error))
}

impl Agent {
    fn obey(&mut self, words: &[&str]) -> Answer {
        let tell = |error: zerobuffer::Error| words_of(&error);
        match words[0] {
            "serve" => self.serve(words).map_err(tell)?,
            "stop" => {
                let started = Instant::now();
                let ended = self.server().stop();
                return Ok(format!("{ended} {}", started.elapsed().as_millis()));
            }
            "drain" => return Ok(self.server().drain(millis(words, 1)).to_string()),
            "running" => return Ok(self.server().is_running().to_string()),
            "failures" => return Ok(self.log.failures.lock().unwrap().join(" | ")),
            "inits" => return Ok(self.log.inits.lock().unwrap().join(" ")),
            "handled" => return Ok(self.log.handled.load(Ordering::SeqCst).to_string()),
            "most-at-once" => return Ok(self.log.most_at_once.load(Ordering::SeqCst).to_string()),
            "connect" => {
                let config = ClientConfig::default()
                    .response_size(number(words, 2))
                    .connect_timeout(Duration::from_secs(20));
                self.client = Some(Client::connect_with(words[1], config).map_err(tell)?);
            }
            "send" => {
                let request = content(number(words, 1), number(words, 2));
                return self.client().send(&request).map(|sequence| sequence.to_string()).map_err(tell);
            }
            "set-meta" => {
                let metadata = content(number(words, 1), number(words, 2));
                self.client().set_metadata(&metadata).map_err(tell)?;
            }
            "receive" => {
                let response = self.client().receive(millis(words, 1)).map_err(tell)?;
                let Some(response) = response else { return Ok("none".to_owned()) };
                check(response.data(), number(words, 2))?;
                return Ok(format!("{} {}", response.sequence(), response.data().len()));
            }
            "call" => {
                let request = content(number(words, 1), number(words, 2));
                let response = self.client().call(&request, millis(words, 3)).map_err(tell)?;
                check(response.data(), number(words, 1))?;
                return Ok(response.sequence().to_string());
            }
            "channel" => return Ok(self.client().channel().to_owned()),
            // Sends that many requests, a few at a time, and checks the answers and their order.
            "burst" => {
                let (from, count, size): (u64, u64, usize) =
                    (number(words, 1), number(words, 2), number(words, 3));
                let mut due = None;
                for first in (from..from + count).step_by(8) {
                    let keys = first..(first + 8).min(from + count);
                    for key in keys.clone() {
                        let sequence = self.client().send(&content(key, size)).map_err(tell)?;
                        due.get_or_insert(sequence);
                    }
                    for key in keys {
                        let response = self.client().receive(Duration::from_secs(30)).map_err(tell)?;
                        let response = response.ok_or("no response")?;
                        check(response.data(), key)?;
                        if Some(response.sequence()) != due {
                            return Err(format!("response {} instead of {due:?}", response.sequence()));
                        }
                        due = due.map(|due| due + 1);
                    }
                }
            }
            // Asks until killed, and says so.
            "chatter" => {
                for key in 1_u64.. {
                    self.client().send(&content(key, number(words, 1))).map_err(tell)?;
                    if key % 3 == 0 {
                        self.client().receive(Duration::from_secs(20)).map_err(tell)?;
                    }
                    reply(&format!("sent {key}"));
                }
            }
            "close" => {
                self.server = None;
                self.client = None;
            }
            other => return Err(format!("no command is called {other}")),
        }
        Ok(String::new())
    }

    fn server(&self) -> &Server {
        self.server.as_deref().expect("no server: serve first")
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("no client: connect first")
    }

    /// `serve CHANNEL HANDLER [pool=N] [once]`, `[client-timeout=MS]`, `[write-timeout=MS]`,
    /// `[ring=BYTES]`, `[metadata=BYTES]`, `[clients=N]`
    fn serve(&mut self, words: &[&str]) -> zerobuffer::Result<()> {
        let (mut ring, mut metadata) = (SMALL_RING, 4096);
        let mut config = ServerConfig::default();
        for option in &words[3..] {
            let (key, value) = option.split_once('=').unwrap_or((option, "0"));
            let value: u64 = value.parse().unwrap();
            let time = Duration::from_millis(value);
            match key {
                "pool" => {
                    let workers = NonZeroUsize::new(value as usize).unwrap();
                    config = config.mode(ProcessingMode::ThreadPool(workers));
                }
                "once" => config = config.persistent(false),
                "client-timeout" => config = config.client_timeout(Some(time)),
                "write-timeout" => config = config.write_timeout(Some(time)),
                "clients" => config = config.clients(value as usize),
                "ring" => ring = value,
                "metadata" => metadata = value,
                other => panic!("no option is called {other}"),
            }
        }
        let (log, init_log) = (Arc::clone(&self.log), Arc::clone(&self.log));
        config = config
            .buffer(BufferConfig::ring(ring).metadata(metadata))
            .on_error(move |failure| log.failures.lock().unwrap().push(describe(failure)))
            .on_init(move |metadata| {
                let text = metadata.map_or("none".to_owned(), |metadata| metadata.len().to_string());
                init_log.inits.lock().unwrap().push(text);
                if metadata.is_some_and(|metadata| metadata.len() == 666) {
                    return Err("metadata of 666 bytes".into());
                }
                Ok(())
            });
        let server = Arc::new(Server::new(words[1], config));
        let handler = words[2].to_owned();
        let log = Arc::clone(&self.log);
        if let Some(edit) = handler.strip_prefix("edit-") {
            let edit = edit.to_owned();
            server.start_mutable(move |frame| {
                log.handled.fetch_add(1, Ordering::SeqCst);
                match edit.as_str() {
                    "xor" => frame.data_mut().iter_mut().for_each(|byte| *byte ^= 0xff),
                    "fail" => return Err("the edit fails".into()),
                    other => panic!("no edit is called {other}"),
                }
                Ok(())
            })?;
        } else {
            let own: Arc<OnceLock<std::sync::Weak<Server>>> = Arc::default();
            own.set(Arc::downgrade(&server)).unwrap();
            server.start(move |frame, responder| log.handle(&handler, &frame, responder, &own))?;
        }
        // A server that is started anew keeps its log.
        self.server = Some(server);
        Ok(())
    }
}

const SMALL_RING: u64 = 1 << 20;

fn describe(failure: &Failure) -> String {
    let text = format!("{failure:?}");
    let variant: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
    format!("{variant}: {failure}")
}

impl Log {
    fn handle(
        &self,
        kind: &str,
        frame: &Frame,
        mut responder: Responder,
        own: &OnceLock<std::sync::Weak<Server>>,
    ) -> Result<(), BoxError> {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let (kind, value) = kind.split_once(':').unwrap_or((kind, "0"));
        let value: u64 = value.parse().unwrap();
        let pause = Duration::from_millis(value);
        let data = frame.data();
        let outcome = match kind {
            "echo" => responder.write(data).map(drop).map_err(Into::into),
            "loan" => respond_in_place(&mut responder, data),
            "xor" => {
                let flipped: Vec<u8> = data.iter().map(|byte| byte ^ 0xff).collect();
                responder.write(&flipped).map(drop).map_err(Into::into)
            }
            "slow" => {
                thread::sleep(pause);
                responder.write(data).map(drop).map_err(Into::into)
            }
            // The first byte says how many steps to sleep: later requests are ready earlier.
            "reverse" => {
                thread::sleep(pause * u32::from(data[0]));
                responder.write(data).map(drop).map_err(Into::into)
            }
            "mischief" => mischief(data, responder),
            "stop" => {
                let server = own.get().and_then(std::sync::Weak::upgrade).ok_or("no server")?;
                let started = Instant::now();
                server.stop();
                let taken = started.elapsed().as_millis().to_string();
                responder.write(taken.as_bytes()).map(drop).map_err(Into::into)
            }
            other => panic!("no handler is called {other}"),
        };
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.handled.fetch_add(1, Ordering::SeqCst);
        outcome
    }
}

fn respond_in_place(responder: &mut Responder, data: &[u8]) -> Result<(), BoxError> {
    // Given up once: nothing goes out.
    drop(responder.loan(data.len() + 1)?);
    let mut room = responder.loan(data.len() + 1)?;
    room[..data.len()].copy_from_slice(data);
    let sequence = room.commit_len(data.len())?;
    assert_eq!(sequence, responder.sequence());
    Ok(())
}

/// The request's last byte says what goes wrong. Each answer is the request and the number of the
/// answer.
fn mischief(data: &[u8], mut responder: Responder) -> Result<(), BoxError> {
    let answer = |number: u8| [data, &[number]].concat();
    match data.last() {
        Some(0) => responder.write(&answer(1))?,
        // Late.
        Some(1) => {
            thread::sleep(Duration::from_millis(2));
            responder.write(&answer(1))?
        }
        // Not at all, and twice with an error in between.
        Some(2) => return Err("raised".into()),
        Some(3) => {
            responder.write(&answer(1))?;
            responder.write(&answer(2))?
        }
        Some(4) => return Ok(()),
        // After the handler, on another thread.
        Some(5) => {
            let answer = answer(1);
            thread::spawn(move || responder.write(&answer));
            return Ok(());
        }
        Some(6) => std::panic::resume_unwind(Box::new("a panic that the test wants")),
        other => return Err(format!("no mischief {other:?}").into()),
    };
    Ok(())
}
