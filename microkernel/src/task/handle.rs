//! What the core holds on behalf of a task.
//!
//! A task never owns core objects itself: it has an [`Owned`] handle, and the object stands in the task's
//! [`HandleTable`]. Dropping the handle removes the object; killing the task drops the whole table, so nothing leaks although
//! none of the task's destructors run.

use super::TaskInner;
use crate::sync::Lock;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Deref;
use core::ptr::NonNull;

type Object = Arc<dyn Any + Send + Sync>;

#[derive(Default)]
struct Slots {
    objects: Vec<Option<Object>>,
    free: Vec<u32>,
}

/// All core objects of one task.
pub(crate) struct HandleTable(Lock<Slots>);

impl HandleTable {
    pub const fn new() -> Self {
        Self(Lock::new(Slots { objects: Vec::new(), free: Vec::new() }))
    }

    fn insert(&self, object: Object) -> u32 {
        let mut slots = self.0.lock();
        if let Some(index) = slots.free.pop() {
            slots.objects[index as usize] = Some(object);
            return index;
        }
        slots.objects.push(Some(object));
        (slots.objects.len() - 1) as u32
    }

    fn remove(&self, index: u32) -> Option<Object> {
        let mut slots = self.0.lock();
        let object = slots.objects.get_mut(index as usize)?.take();
        if object.is_some() {
            slots.free.push(index);
        }
        object
    }

    pub fn clear(&self) {
        let objects = {
            let mut slots = self.0.lock();
            slots.free = Vec::new();
            core::mem::take(&mut slots.objects)
        };
        drop(objects);
    }
}

/// A core object that belongs to the task which holds this handle.
pub struct Owned<T: Send + Sync + 'static> {
    object: NonNull<T>,
    index: u32,
    /// The owning task outlives its handles: it drops them before its table, or never runs again.
    task: NonNull<TaskInner>,
}

// SAFETY: the object is `Send + Sync`, and the table behind the handle is locked.
unsafe impl<T: Send + Sync> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Owned<T> {}

impl<T: Send + Sync + 'static> Owned<T> {
    /// Puts an object into the running task's table.
    pub(crate) fn new(object: Arc<T>) -> Self {
        let _section = crate::sync::CoreSection::enter();
        let task = &super::thread::current_inner().task;
        let pointer = NonNull::from(&*object);
        let index = task.handles.insert(object);
        Self { object: pointer, index, task: NonNull::from(&**task) }
    }

    /// One more reference to the object, for use inside the core.
    pub(crate) fn share(&self) -> Arc<T> {
        // SAFETY: the object lives in an `Arc` that the table holds as long as this handle exists.
        unsafe {
            Arc::increment_strong_count(self.object.as_ptr());
            Arc::from_raw(self.object.as_ptr())
        }
    }
}

impl<T: Send + Sync + 'static> Deref for Owned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: as `share`.
        unsafe { self.object.as_ref() }
    }
}

impl<T: Send + Sync + 'static> Drop for Owned<T> {
    fn drop(&mut self) {
        let _section = crate::sync::CoreSection::enter();
        // SAFETY: the task lives while code of it runs, and handles do not leave their task.
        let object = unsafe { self.task.as_ref() }.handles.remove(self.index);
        drop(object);
    }
}

/// Puts a value into the running task's table: it is dropped when the handle is, or when the task is reaped.
///
/// For values that hold core references ([`Thread`](super::thread::Thread), [`EventSet`](crate::channel::EventSet) ...):
/// in the task's own heap they would leak when it is killed. Make the value in the same
/// [`section`](crate::sync::section).
pub fn keep<T: Send + Sync + 'static>(value: T) -> Owned<T> {
    let _section = crate::sync::CoreSection::enter();
    Owned::new(Arc::new(value))
}
