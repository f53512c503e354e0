//! `sys_gr`: safe access to the group database: getgrnam(3) and getgrgid(3).

use std::ffi::{CStr, CString};

use super::sys_pw::lookup;

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: CString,
    /// The group ID.
    pub gid: u32,
}

/// Looks up a group by name. None if there is no such group, or the lookup fails.
pub fn getgrnam(name: &[u8]) -> Option<Group> {
    let name = CString::new(name).ok()?;
    let call = |entry, buffer: &mut [libc::c_char], result| {
        // SAFETY: the name is NUL-terminated; `lookup` passes pointers that are
        // valid during the call, and the length is that of the buffer.
        unsafe {
            libc::getgrnam_r(
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

/// Looks up a group by ID, like [`getgrnam`].
pub fn getgrgid(gid: u32) -> Option<Group> {
    let call = |entry, buffer: &mut [libc::c_char], result| {
        // SAFETY: `lookup` passes pointers that are valid during the call, and the
        // length is that of the buffer.
        unsafe { libc::getgrgid_r(gid, entry, buffer.as_mut_ptr(), buffer.len(), result) }
    };
    lookup(call, copy)
}

fn copy(entry: &libc::group) -> Group {
    Group {
        // SAFETY: `lookup` calls this with an entry that was found, whose gr_name is
        // a NUL-terminated string in a buffer that `lookup` still has.
        name: unsafe { CStr::from_ptr(entry.gr_name) }.to_owned(),
        gid: entry.gr_gid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_and_by_id() {
        let group = getgrgid(0).unwrap();
        assert_eq!(group.gid, 0);
        assert_eq!(getgrnam(group.name.as_bytes()), Some(group));
    }

    #[test]
    fn no_group_by_that_name_is_not_an_error() {
        assert_eq!(getgrnam(b"no such group"), None);
        assert_eq!(getgrnam(b"ro\0ot"), None);
        assert_eq!(getgrgid(u32::MAX - 7), None);
    }
}
