//! Whose a kernel object is, as the number of a user.
//!
//! Users have identifiers of several parts here, and no numbers. The number that stands for one is
//! the last part. It tells the users of one machine, or of one domain, apart. 0 stands for the
//! administrators and the system, as for root elsewhere: they may do everything anyway.

use super::object;
use std::{
    io,
    os::windows::io::{FromRawHandle, OwnedHandle},
    ptr,
    sync::OnceLock,
};
use windows_sys::Win32::{
    Security::{
        GetKernelObjectSecurity, GetLengthSid, GetSecurityDescriptorOwner, GetTokenInformation,
        OWNER_SECURITY_INFORMATION, PSID, TOKEN_QUERY, TOKEN_USER, TokenUser,
    },
    System::Threading::{GetCurrentProcess, OpenProcessToken},
};

/// Somebody else, of whom more is not known.
const OTHER: u32 = u32::MAX;
/// This user, if the system does not say who that is.
const SELF: u32 = u32::MAX - 1;
/// Revision 1, one part, of the authority 5: the system.
const SYSTEM: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
/// The group of administrators. It owns what a process with their rights makes.
const ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];

/// The user whom this process runs as.
pub(crate) fn own_uid() -> u32 {
    own().map_or(SELF, number)
}

/// The user who owns the object. Its handle has to give the right to read that.
pub(super) fn of(object: &OwnedHandle) -> u32 {
    match owner_of(object) {
        Ok(Some(owner)) => seen_from(own(), &owner),
        // Windows keeps one of every object. Wine does not, and then nobody is kept out.
        Ok(None) => own_uid(),
        Err(_) => OTHER,
    }
}

/// The number of a user, which is not that of `own` unless both are the same.
fn seen_from(own: Option<&[u8]>, owner: &[u8]) -> u32 {
    let number = number(owner);
    let is_own = own == Some(owner);
    if number != 0 && !is_own && (number == SELF || own.map(self::number) == Some(number)) {
        OTHER
    } else {
        number
    }
}

fn number(user: &[u8]) -> u32 {
    if user == SYSTEM || user == ADMINISTRATORS {
        return 0;
    }
    let last = user.last_chunk().copied().map_or(OTHER, u32::from_le_bytes);
    if last == 0 { OTHER } else { last }
}

fn own() -> Option<&'static [u8]> {
    static OWN: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    OWN.get_or_init(|| own_user().ok()).as_deref()
}

fn own_user() -> io::Result<Vec<u8>> {
    let mut token = ptr::null_mut();
    // SAFETY: the pseudo-handle is always valid, the place for the token outlives the call.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is valid, and this is its only owner.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Aligned for the pointer in it; an identifier has at most 68 bytes.
    let mut buffer = [0_u64; 32];
    let (place, len) = (buffer.as_mut_ptr(), size_of_val(&buffer) as u32);
    let mut written = 0;
    // SAFETY: the buffer has that many bytes and outlives the call.
    let done =
        unsafe { GetTokenInformation(object::raw(&token), TokenUser, place.cast(), len, &raw mut written) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has stored this structure at the buffer's start, and its identifier behind.
    Ok(unsafe { bytes((*place.cast::<TOKEN_USER>()).User.Sid) })
}

/// `None`: the system keeps no owner.
fn owner_of(object: &OwnedHandle) -> io::Result<Option<Vec<u8>>> {
    let mut descriptor = [0_u64; 32];
    let (place, len) = (descriptor.as_mut_ptr(), size_of_val(&descriptor) as u32);
    let mut needed = 0;
    // SAFETY: the buffer has that many bytes and outlives the call; the handle is valid.
    let done = unsafe {
        GetKernelObjectSecurity(
            object::raw(object),
            OWNER_SECURITY_INFORMATION,
            place.cast(),
            len,
            &raw mut needed,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let (mut owner, mut is_default) = (ptr::null_mut(), 0);
    // SAFETY: the call before has stored a descriptor there; the places outlive the call.
    let done = unsafe { GetSecurityDescriptorOwner(place.cast(), &raw mut owner, &raw mut is_default) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the owner lies in the descriptor, which is still there.
    Ok((!owner.is_null()).then(|| unsafe { bytes(owner) }))
}

/// A copy of an identifier.
///
/// # Safety
///
/// It is one that the system has stored, and is still there.
unsafe fn bytes(identifier: PSID) -> Vec<u8> {
    // SAFETY: as promised; so many bytes belong to it, and the copy has room for them.
    unsafe {
        let len = GetLengthSid(identifier) as usize;
        let mut copy = vec![0; len];
        ptr::copy_nonoverlapping(identifier.cast::<u8>(), copy.as_mut_ptr(), len);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-1-5-21-1-DOMAIN-3-USER.
    fn user(domain: u32, user: u32) -> Vec<u8> {
        let parts = [21, 1, domain, 3, user];
        let parts = parts.into_iter().flat_map(u32::to_le_bytes);
        [1, 5, 0, 0, 0, 0, 0, 5].into_iter().chain(parts).collect()
    }

    #[test]
    fn users_by_rows() {
        let own = user(2, 1001);
        for (owner, expected) in [
            (own.clone(), 1001),
            (user(2, 1002), 1002),
            (user(9, 1001), OTHER),
            (user(2, SELF), OTHER),
            (user(2, 0), OTHER),
            (SYSTEM.to_vec(), 0),
            (ADMINISTRATORS.to_vec(), 0),
            (Vec::new(), OTHER),
        ] {
            assert_eq!(seen_from(Some(&own), &owner), expected, "{owner:?}");
        }
        assert_eq!(seen_from(None, &own), 1001);
    }

    #[test]
    fn what_this_process_makes_is_its_users_or_the_administrators() {
        assert_ne!(own_uid(), SELF, "the system says who this is");
        let name = format!(r"Local\zb-owner-{}", std::process::id());
        let section = object::make_section(&name, 4096).unwrap().handle;
        assert!([own_uid(), 0].contains(&of(&section)));
    }
}
