//! Safe access to the password database: getpwnam(3) and getpwuid(3).
//!
//! Only the reentrant variants are used, so that the answer belongs to the
//! caller.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passwd {
    /// The login name.
    pub name: CString,
    /// The user ID.
    pub uid: u32,
    /// The ID of the login group.
    pub gid: u32,
}

/// Looks up a user by name. Nothing when there is no such user; an error when
/// the database could not be asked.
pub fn getpwnam(name: &[u8]) -> io::Result<Option<Passwd>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    let ask = |entry, buffer: &mut [libc::c_char], result| {
        // SAFETY: the name is a C string; the three others are what `lookup`
        // promises.
        unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                result,
            )
        }
    };
    lookup(ask, copy)
}

/// Looks up a user by ID, like [`getpwnam`].
pub fn getpwuid(uid: u32) -> io::Result<Option<Passwd>> {
    let ask = |entry, buffer: &mut [libc::c_char], result| {
        // SAFETY: the last three are what `lookup` promises.
        unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), result) }
    };
    lookup(ask, copy)
}

fn copy(entry: &libc::passwd) -> Passwd {
    Passwd {
        // SAFETY: pw_name of an entry that was found points to a C string,
        // which is still there.
        name: unsafe { CStr::from_ptr(entry.pw_name) }.to_owned(),
        uid: entry.pw_uid,
        gid: entry.pw_gid,
    }
}

/// Calls such a function with room for its answer: an entry, a buffer for the
/// entry's strings, and where to leave a pointer to the entry, all valid during
/// the call. Tries again with more room when it asks for it. What was found is
/// copied while the buffer is there.
pub(super) fn lookup<Entry, Answer>(
    ask: impl Fn(*mut Entry, &mut [libc::c_char], *mut *mut Entry) -> libc::c_int,
    copy: impl Fn(&Entry) -> Answer,
) -> io::Result<Option<Answer>> {
    const ROOM_LIMIT: usize = 1 << 20;
    let mut buffer = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<Entry>::zeroed();
        let mut result = ptr::null_mut();
        match ask(entry.as_mut_ptr(), &mut buffer, &mut result) {
            // SAFETY: the pointer is null, or to `entry`, which was filled in.
            0 => return Ok(unsafe { result.as_ref() }.map(copy)),
            libc::ERANGE if buffer.len() < ROOM_LIMIT => buffer.resize(buffer.len() * 2, 0),
            libc::EINTR => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn root_is_found_by_name_and_by_id() {
        let root = getpwnam(b"root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(getpwuid(0).unwrap(), Some(root));
    }

    #[test]
    fn nobody_by_that_name_is_not_an_error() {
        assert_eq!(getpwnam(b"no such user").unwrap(), None);
        assert_eq!(getpwnam(b"ro\0ot").unwrap(), None);
        assert_eq!(getpwuid(u32::MAX - 7).unwrap(), None);
    }

    #[test]
    fn an_entry_gets_the_room_that_it_needs_but_not_all_there_is() {
        let find = |needed: usize| {
            let interrupted = Cell::new(false);
            let ask = |entry: *mut u32, buffer: &mut [libc::c_char], result: *mut *mut u32| {
                if !interrupted.replace(true) {
                    return libc::EINTR;
                }
                if buffer.len() < needed {
                    return libc::ERANGE;
                }
                // SAFETY: both are to places of these types.
                unsafe {
                    entry.write(7);
                    result.write(entry);
                }
                0
            };
            lookup(ask, |&entry| entry).map_err(|err| err.raw_os_error())
        };
        for needed in [0, 1025, 1 << 20] {
            assert_eq!(find(needed), Ok(Some(7)), "{needed}");
        }
        assert_eq!(find((1 << 20) + 1), Err(Some(libc::ERANGE)));
    }
}
