//! Windows: parts of a slab that are being written, by the kernel or by us.
//!
//! A [`SlabWriter`] owns the slab and hands out windows for one stretch after the other, so no two overlap. A window keeps the
//! slab's memory alive, which is what an operation in flight needs; the writer turns back, or gives the slab away, only when
//! no window is left.

use std::{ptr::NonNull, slice, sync::Arc};

use crate::pool::{Held, Slab};

/// Hands out windows of a slab, front to back.
pub(crate) struct SlabWriter {
    held: Arc<Held>,
    next: usize,
}

impl SlabWriter {
    pub(crate) fn new(slab: Slab) -> Self {
        Self { held: slab.0, next: 0 }
    }

    /// The next `bytes` bytes, if the slab has them.
    pub(crate) fn window(&mut self, bytes: usize) -> Option<Window> {
        let end = self.next.checked_add(bytes).filter(|&end| end <= self.held.len_bytes())?;
        let base = self.held.memory()?.as_ptr();
        // The address is within the slab: `next <= len_bytes`.
        let start = NonNull::new(base.as_ptr().wrapping_add(self.next))?;
        self.next = end;
        Some(Window { _held: self.held.clone(), start, bytes, filled: 0 })
    }

    /// Goes back to an earlier place; refused while a window is out.
    pub(crate) fn rewind(&mut self, to: usize) -> bool {
        let alone = Arc::get_mut(&mut self.held).is_some();
        if alone {
            self.next = self.next.min(to);
        }
        alone
    }

    /// The slab; refused while a window is out.
    pub(crate) fn finish(mut self) -> Option<Slab> {
        Arc::get_mut(&mut self.held).is_some().then_some(Slab(self.held))
    }
}

/// A part of a slab that nobody else reads or writes.
pub(crate) struct Window {
    _held: Arc<Held>,
    start: NonNull<u8>,
    bytes: usize,
    filled: usize,
}

// SAFETY: a window is the only view of its bytes, which have no thread (`SlabMemory`'s contract).
#[allow(unsafe_code)]
unsafe impl Send for Window {}

impl Window {
    pub(crate) fn remaining(&self) -> usize {
        self.bytes - self.filled
    }

    pub(crate) fn filled_bytes(&self) -> usize {
        self.filled
    }

    /// The bytes that were filled.
    #[allow(unsafe_code)]
    pub(crate) fn filled(&self) -> &[u8] {
        // SAFETY: `filled <= bytes`, all within the slab, which is initialised and alive as long as `_held`; windows do not
        // overlap, and writing needs `&mut self` or takes the window away.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.filled) }
    }

    /// Up to `limit` bytes that come next.
    #[allow(unsafe_code)]
    pub(crate) fn unfilled(&mut self, limit: usize) -> &mut [u8] {
        let length = self.remaining().min(limit);
        // SAFETY: as in `filled`; `&mut self` makes this the only view.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().add(self.filled), length) }
    }

    /// Counts bytes as filled.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.filled = self.filled.saturating_add(bytes).min(self.bytes);
    }
}

/// What the kernel may fill in one operation: up to `limit` bytes of a window, from where it is filled to.
pub(crate) struct Piece {
    pub(crate) window: Window,
    pub(crate) limit: usize,
}

// SAFETY: the address is that of slab memory, which does not move; `window` keeps it alive wherever the piece goes.
#[allow(unsafe_code)]
unsafe impl tokio_uring::buf::IoBuf for Piece {
    fn stable_ptr(&self) -> *const u8 {
        self.window.start.as_ptr().wrapping_add(self.window.filled)
    }
    fn bytes_init(&self) -> usize {
        0
    }
    fn bytes_total(&self) -> usize {
        self.window.remaining().min(self.limit)
    }
}

// SAFETY: as above; the kernel writes at most `bytes_total` bytes, which belong to this window alone.
#[allow(unsafe_code)]
unsafe impl tokio_uring::buf::IoBufMut for Piece {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.window.start.as_ptr().wrapping_add(self.window.filled)
    }
    unsafe fn set_init(&mut self, _position: usize) {
        // Slab memory is always initialised; who reads counts the bytes with `advance`.
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SlabPool;

    #[test]
    fn windows_keep_the_slab_and_do_not_overlap() {
        let pool = SlabPool::mmap(1, 100, false).unwrap();
        let mut writer = SlabWriter::new(pool.try_acquire().unwrap());
        let (mut a, mut b) = (writer.window(60).unwrap(), writer.window(40).unwrap());
        assert!(writer.window(1).is_none(), "beyond the end");
        a.unfilled(100).fill(1);
        a.advance(60);
        b.unfilled(10).fill(2);
        b.advance(10);
        assert_eq!((a.remaining(), b.remaining(), a.filled_bytes()), (0, 30, 60));
        assert_eq!((a.filled(), b.filled()), (&[1; 60][..], &[2; 10][..]));
        assert!(!writer.rewind(0), "windows are out");
        drop((a, b));
        assert!(writer.rewind(60));
        let late = writer.window(40).unwrap();
        drop(writer);
        assert_eq!(pool.free(), 0, "the window keeps the memory from being used again");
        drop(late);
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn the_slab_comes_out_when_no_window_is_left() {
        let pool = SlabPool::mmap(1, 100, false).unwrap();
        let mut writer = SlabWriter::new(pool.try_acquire().unwrap());
        writer.window(3).unwrap().unfilled(3).copy_from_slice(b"abc");
        let slab = writer.finish().unwrap();
        assert_eq!(&slab[..4], b"abc\0");
        let mut writer = SlabWriter::new(slab);
        let _out = writer.window(1).unwrap();
        assert!(writer.finish().is_none());
    }
}
