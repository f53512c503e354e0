//! `sys_pw`: safe access to the password database: getpwnam(3) and getpwuid(3).

use std::ffi::{CStr, CString};
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

/// Looks up a user by name. None if there is no such user, or the lookup fails.
pub fn getpwnam(name: &[u8]) -> Option<Passwd> {
    let name = CString::new(name).ok()?;
    let call = |entry, buffer: &mut [libc::c_char], result| {
        // SAFETY: the name is NUL-terminated; `lookup` passes pointers that are
        // valid during the call, and the length is that of the buffer.
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
    lookup(call, copy)
}

/// Looks up a user by ID, like [`getpwnam`].
pub fn getpwuid(uid: u32) -> Option<Passwd> {
    let call = |entry, buffer: &mut [libc::c_char], result| {
        // SAFETY: `lookup` passes pointers that are valid during the call, and the
        // length is that of the buffer.
        unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), result) }
    };
    lookup(call, copy)
}

fn copy(entry: &libc::passwd) -> Passwd {
    Passwd {
        // SAFETY: `lookup` calls this with an entry that was found, whose pw_name is
        // a NUL-terminated string in a buffer that `lookup` still has.
        name: unsafe { CStr::from_ptr(entry.pw_name) }.to_owned(),
        uid: entry.pw_uid,
        gid: entry.pw_gid,
    }
}

/// Calls `call`, a function such as getpwnam_r(3), with pointers that are valid
/// during the call: an entry, a buffer for its strings, and a result. Tries again
/// with a larger buffer after ERANGE. Returns a copy of the entry, if it was found.
pub(super) fn lookup<Entry, Copy>(
    call: impl Fn(*mut Entry, &mut [libc::c_char], *mut *mut Entry) -> libc::c_int,
    copy: impl Fn(&Entry) -> Copy,
) -> Option<Copy> {
    const MAX_BUFFER: usize = 1 << 20;
    let mut buffer = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<Entry>::zeroed();
        let mut result = ptr::null_mut();
        match call(entry.as_mut_ptr(), &mut buffer, &mut result) {
            // SAFETY: a function such as getpwnam_r(3) sets the pointer to null, or to
            // `entry`, which it has filled in.
            0 => return unsafe { result.as_ref() }.map(copy),
            libc::ERANGE if buffer.len() < MAX_BUFFER => buffer.resize(buffer.len() * 2, 0),
            libc::EINTR => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn root_is_found_by_name_and_by_id() {
        let root = getpwnam(b"root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(getpwuid(0), Some(root));
    }

    #[test]
    fn no_user_by_that_name_is_not_an_error() {
        assert_eq!(getpwnam(b"no such user"), None);
        assert_eq!(getpwnam(b"ro\0ot"), None);
        assert_eq!(getpwuid(u32::MAX - 7), None);
    }

    #[test]
    fn the_buffer_grows_as_needed_up_to_a_limit() {
        let find = |needed: usize| {
            let interrupted = Cell::new(false);
            let call = |entry: *mut u32, buffer: &mut [libc::c_char], result: *mut *mut u32| {
                if !interrupted.replace(true) {
                    return libc::EINTR;
                }
                if buffer.len() < needed {
                    return libc::ERANGE;
                }
                // SAFETY: `lookup` passes pointers that are valid during the call.
                unsafe {
                    entry.write(7);
                    result.write(entry);
                }
                0
            };
            lookup(call, |&entry| entry)
        };
        for needed in [0, 1025, 1 << 20] {
            assert_eq!(find(needed), Some(7), "{needed}");
        }
        assert_eq!(find((1 << 20) + 1), None);
    }
}
