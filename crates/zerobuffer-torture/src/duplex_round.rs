//! A round on a duplex channel: client and server in processes of their own, killed, stopped,
//! closed and replaced at random moments. Every answer is checked against its request, which no
//! other client has ever made (D1, D3, D5).

use crate::{
    leftovers,
    plan::Plan,
    process::{Endpoint, Place, Role},
    tally::{Duplex, Tally},
};
use anyhow::{Context as _, Result};
use rustix::process::Signal;
use std::{fs, path::Path, thread, time::Duration};

pub(crate) fn run(name: &str, base: &Path, seed: u64, root: bool) -> Tally {
    let folder = base.join(name);
    let mut rng = fastrand::Rng::with_seed(seed ^ 0xD0B1E);
    let is_apart = root && rng.u32(0..4) == 0;
    let mut round = Round {
        plan: Plan::draw(name.to_owned(), &folder, seed),
        client_place: if is_apart { Place::PidNamespace } else { Place::Here },
        rng,
        server: None,
        client: None,
        number: 0,
        figures: Duplex { rounds: 1, ..Duplex::default() },
        complaints: Vec::new(),
    };
    let result = round.play();
    (round.client, round.server) = (None, None);
    let mut violations = round.complaints;
    violations.extend(result.err().map(|error| format!("{error:#}")));
    let mut left = Vec::new();
    for buffer in [format!("{name}_request"), format!("{name}_response")] {
        left.extend(leftovers::sweep(&buffer));
    }
    if !left.is_empty() {
        violations.push(format!("left behind: {left:?}"));
    }
    let _ = fs::remove_dir_all(&folder);
    Tally { duplex: round.figures, leftovers: left.len() as u64, violations, ..Tally::default() }
}

struct Round {
    plan: Plan,
    client_place: Place,
    rng: fastrand::Rng,
    server: Option<Endpoint>,
    client: Option<Endpoint>,
    /// Processes started so far.
    number: u64,
    figures: Duplex,
    complaints: Vec<String>,
}

impl Round {
    fn slot(&mut self, role: Role) -> &mut Option<Endpoint> {
        if role == Role::Server { &mut self.server } else { &mut self.client }
    }

    fn end(&mut self, role: Role) -> Result<&mut Endpoint> {
        self.slot(role).as_mut().context("no such process at this point of the round")
    }

    fn spawn(&mut self, role: Role) -> Result<()> {
        self.number += 1;
        let place = if role == Role::Client { &self.client_place } else { &Place::Here };
        let endpoint = Endpoint::spawn(role, place, &self.plan, self.number)?;
        *self.slot(role) = Some(endpoint);
        Ok(())
    }

    /// From 20 µs to 30 ms, each order of magnitude as likely as the other.
    fn linger(&mut self) {
        let micros = 20_u64 << self.rng.u32(0..11);
        thread::sleep(Duration::from_micros(micros + self.rng.u64(0..=micros).min(10_000)));
    }

    fn play(&mut self) -> Result<()> {
        self.spawn(Role::Server)?;
        self.spawn(Role::Client)?;
        for _ in 0..self.rng.u32(3..10) {
            // Half of the faults hit requests and answers on their way, the others a beginning.
            if self.rng.bool() {
                self.settle()?;
            }
            self.linger();
            self.fault()?;
        }
        self.settle()?;
        self.close(Role::Client)?;
        self.close(Role::Server)
    }

    /// The ends that live now have spoken to each other: of two conversations in a row, the second
    /// began after this.
    fn settle(&mut self) -> Result<()> {
        let client = self.end(Role::Client)?;
        client.catch_up();
        client.expect("answered").and_then(|_| client.expect("answered"))?;
        Ok(())
    }

    fn fault(&mut self) -> Result<()> {
        match self.rng.u32(0..100) {
            0..40 => {
                self.kill(Role::Client)?;
                if self.rng.bool() {
                    self.linger();
                }
                self.spawn(Role::Client)
            }
            40..60 => {
                let tells = self.rng.bool();
                if tells {
                    self.settle()?;
                }
                self.kill(Role::Server)?;
                if tells {
                    self.end(Role::Client)?.expect("gone").context("the server was killed")?;
                }
                self.spawn(Role::Server)
            }
            60..70 => {
                self.kill(Role::Server)?;
                self.kill(Role::Client)?;
                self.spawn(Role::Server)?;
                self.spawn(Role::Client)
            }
            70..85 => self.stop(),
            85..93 => {
                self.close(Role::Client)?;
                self.spawn(Role::Client)
            }
            _ => {
                self.close(Role::Server)?;
                self.spawn(Role::Server)
            }
        }
    }

    fn stop(&mut self) -> Result<()> {
        let role = if self.rng.bool() { Role::Client } else { Role::Server };
        self.end(role)?.signal(Signal::STOP);
        let millis = self.rng.u64(0..150);
        thread::sleep(Duration::from_millis(millis));
        if self.rng.u32(0..4) == 0 {
            self.kill(role)?;
            return self.spawn(role);
        }
        self.end(role)?.signal(Signal::CONT);
        Ok(())
    }

    fn kill(&mut self, role: Role) -> Result<()> {
        self.figures.kills += 1;
        let mut end = self.slot(role).take().context("nobody to kill")?;
        end.kill()?;
        self.listen(&end);
        Ok(())
    }

    fn close(&mut self, role: Role) -> Result<()> {
        let mut end = self.slot(role).take().context("nobody to close")?;
        end.order("finish");
        end.expect("closed").context("a clean end")?;
        end.reap()?;
        self.listen(&end);
        Ok(())
    }

    fn listen(&mut self, end: &Endpoint) {
        self.figures.answers += end.answers;
        self.complaints.extend(end.complaints.iter().cloned());
    }
}
