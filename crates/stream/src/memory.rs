//! Memory that slabs are made of.

use std::{num::NonZeroUsize, os::raw::c_void, ptr::NonNull};

use nix::sys::{
    mman::{mmap_anonymous, munmap, MapFlags, ProtFlags},
    resource::{getrlimit, Resource},
};

use crate::StreamError;

/// A fixed piece of memory for one witness vector. A device crate implements it with pinned memory.
///
/// # Safety
/// From creation to drop, `as_ptr` always returns the same address, aligned to 64 bytes, and the `len_bytes` bytes there are
/// initialised, readable and writable from every thread, and used by nobody but through this object.
#[allow(unsafe_code)]
pub unsafe trait SlabMemory: Send + Sync + 'static {
    /// Where the memory begins.
    fn as_ptr(&self) -> NonNull<u8>;
    /// Its length, in bytes.
    fn len_bytes(&self) -> usize;
    /// What it is, for logs.
    fn kind(&self) -> &'static str;
}

/// Anonymous memory of this process, populated when it is made, so that receiving into it faults no page.
#[derive(Debug)]
pub struct MmapSlab {
    address: NonNull<c_void>,
    len_bytes: usize,
    mapped_bytes: NonZeroUsize,
    huge_pages: bool,
}

const HUGE_PAGE_BYTES: usize = 2 << 20;

// SAFETY: the mapping belongs to this object alone, and memory has no thread.
#[allow(unsafe_code)]
unsafe impl Send for MmapSlab {}
// SAFETY: as above; shared access through `&MmapSlab` gives no more than the address.
#[allow(unsafe_code)]
unsafe impl Sync for MmapSlab {}

impl MmapSlab {
    /// Maps and populates at least `len_bytes` bytes; with huge pages (2 MiB) if asked for and to be had, else with
    /// ordinary ones.
    pub fn new(len_bytes: usize, huge_pages: bool) -> Result<Self, StreamError> {
        let refused = |source| StreamError::Map { len_bytes, source };
        let round = |to: usize| len_bytes.max(1).checked_next_multiple_of(to).and_then(NonZeroUsize::new);
        if huge_pages {
            let size = round(HUGE_PAGE_BYTES).ok_or_else(|| refused(nix::errno::Errno::ENOMEM))?;
            match map(size, MapFlags::MAP_HUGETLB) {
                Ok(address) => {
                    return Ok(Self { address, len_bytes, mapped_bytes: size, huge_pages: true });
                }
                Err(reason) => tracing::info!(%reason, "no huge pages for a slab, using ordinary ones"),
            }
        }
        let size = round(4096).ok_or_else(|| refused(nix::errno::Errno::ENOMEM))?;
        let address = map(size, MapFlags::empty()).map_err(refused)?;
        Ok(Self { address, len_bytes, mapped_bytes: size, huge_pages: false })
    }
}

#[allow(unsafe_code)]
fn map(size: NonZeroUsize, flags: MapFlags) -> nix::Result<NonNull<c_void>> {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE | flags;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory that is in use.
    unsafe { mmap_anonymous(None, size, protection, flags) }
}

impl Drop for MmapSlab {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`; every view of it keeps this object alive (`SlabMemory`'s contract).
        if let Err(reason) = unsafe { munmap(self.address, self.mapped_bytes.get()) } {
            tracing::error!(%reason, "cannot unmap a slab");
        }
    }
}

// SAFETY: the mapping stays where it is until drop, is page-aligned and zeroed, and `address` does not leave this object
// in any other way.
#[allow(unsafe_code)]
unsafe impl SlabMemory for MmapSlab {
    fn as_ptr(&self) -> NonNull<u8> {
        self.address.cast()
    }
    fn len_bytes(&self) -> usize {
        self.len_bytes
    }
    fn kind(&self) -> &'static str {
        if self.huge_pages {
            "mmap, huge pages"
        } else {
            "mmap"
        }
    }
}

/// How many bytes of memory this process may lock; `None` without a limit. Pinned slabs need as many as they hold.
pub fn memlock_limit_bytes() -> Result<Option<u64>, StreamError> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(|source| StreamError::Limit { source })?;
    Ok((soft != nix::sys::resource::RLIM_INFINITY).then_some(soft))
}
