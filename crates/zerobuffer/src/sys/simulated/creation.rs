//! Making and removing a buffer's names, each in one step.

use super::{
    file::{File, Mapping, Segment, semaphore_name},
    machine,
    presence::Presence,
    semaphore::{FRESH, Semaphore},
};
use crate::{
    error::{Error, Result},
    layout::{CONTROL_SIZE, ControlSnapshot},
    sys::{Created, Request, Role, Signal},
};

/// A live reader of the name is refused; a dead one's name is taken over.
pub(crate) fn create(request: &Request<'_>) -> Result<Created> {
    let name = request.name;
    let os = |error| Error::os("make", name, error);
    let file = File::new(request.control, request.size);
    let presence = Presence::of(&file).map_err(os)?;
    presence.try_lock(Role::Reader).map_err(os)?;
    presence.announce(Role::Reader, request.level).map_err(os)?;
    if let Ok(former) = Segment::open(name)
        && Presence::of(&former.file).and_then(|judge| judge.is_held(Role::Reader)).unwrap_or(false)
    {
        let pid = former.control().map_or(0, |bytes| ControlSnapshot::from_bytes(&bytes).reader_pid);
        return Err(Error::ReaderAlreadyConnected { name: name.to_owned(), pid });
    }
    let mut head = [0; CONTROL_SIZE as usize];
    head.iter_mut().zip(FRESH).for_each(|(to, from)| *to = from);
    let mut made = Vec::new();
    for file_name in [Signal::Data, Signal::Space].map(|signal| semaphore_name(name, signal)) {
        let semaphore = File::new(&head, CONTROL_SIZE);
        semaphore.link(&file_name);
        made.push((semaphore, file_name));
    }
    file.link(name);
    let semaphore = Semaphore::open;
    Ok(Created {
        mapping: Mapping::new(&file, request.size).map_err(os)?,
        data: semaphore(&semaphore_name(name, Signal::Data))?,
        space: semaphore(&semaphore_name(name, Signal::Space))?,
        presence: Some(presence),
        names: NameGuard { names: [vec![(file, name.to_owned())], made].concat() },
    })
}

/// Removes the names when it is dropped, unless its process has died.
#[derive(Debug)]
pub(crate) struct NameGuard {
    names: Vec<(File, String)>,
}

impl NameGuard {
    #[allow(clippy::unused_self, reason = "nobody removes names there")]
    pub(crate) fn first_lost(&self) -> Option<String> {
        None
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on a real machine")]
    pub(crate) fn remove(&mut self) -> Result<()> {
        for (file, name) in self.names.drain(..) {
            file.unlink(&name);
        }
        Ok(())
    }
}

impl Drop for NameGuard {
    fn drop(&mut self) {
        if !machine::is_dead() {
            let _ = self.remove();
        }
    }
}
