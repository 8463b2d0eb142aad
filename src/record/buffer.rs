//! Values that are read by many, or appended to by one; shared, they may be memory of others.
//!
//! This is what lets columns of tables be handed on, and to and from Arrow, without copying.

use std::ops::Deref;

use arrow2::buffer::Buffer as ArrowBuffer;

/// Fixed-size values: cloning those that are shared copies nothing.
#[derive(Clone, Debug)]
pub(crate) enum Buffer<T> {
    /// Being appended to.
    Owned(Vec<T>),
    /// Never written again; possibly memory that somebody else gave.
    Shared(ArrowBuffer<T>),
}

impl<T: Clone> Buffer<T> {
    /// The vector to append to; values that are shared are copied first.
    pub(crate) fn own(&mut self) -> &mut Vec<T> {
        if let Buffer::Shared(shared) = self {
            *self = Buffer::Owned(shared.to_vec());
        }
        match self {
            Buffer::Owned(values) => values,
            Buffer::Shared(_) => unreachable!("just replaced"),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Buffer::Owned(values) => values.clear(),
            Buffer::Shared(_) => *self = Buffer::default(),
        }
    }

    /// The same values; those that are being appended to are copied.
    #[cfg(feature = "arrow")]
    pub(crate) fn to_arrow(&self) -> ArrowBuffer<T> {
        match self {
            Buffer::Owned(values) => values.clone().into(),
            Buffer::Shared(shared) => shared.clone(),
        }
    }

    /// Makes the values shareable.
    pub(crate) fn freeze(&mut self) {
        if let Buffer::Owned(values) = self {
            *self = std::mem::take(values).into();
        }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Buffer::Owned(values) => values,
            Buffer::Shared(values) => values,
        }
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Buffer::Owned(Vec::new())
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    /// Shared from the start.
    fn from(values: Vec<T>) -> Self {
        Buffer::Shared(values.into())
    }
}
