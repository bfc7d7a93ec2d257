using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;

namespace ZeroBuffer
{
    public static class Constants
    {
        public const int BlockAlignment = 64;
    }

    /// <summary>Sizes of a buffer, in bytes.</summary>
    public class BufferConfig
    {
        public int MetadataSize { get; set; }
        public int PayloadSize { get; set; }
        /// <summary>Permission bits; -1: 0600, or what ZEROBUFFER_MODE says.</summary>
        public int Mode { get; set; } = -1;

        public BufferConfig(int metadataSize = 1024, int payloadSize = 1024 * 1024)
        {
            MetadataSize = metadataSize;
            PayloadSize = payloadSize;
        }

        internal Options Options()
        {
            Options options = new Options().Set(Native.RingSize, PayloadSize).Set(Native.MetadataSize, MetadataSize);
            return Mode >= 0 ? options.Set(Native.Mode, Mode) : options;
        }
    }

    /// <summary>Releases a frame that nobody has disposed of. It is used again by later frames: an
    /// object with a finalizer takes long to make.</summary>
    internal sealed class FrameGuard
    {
        private static FrameGuard spare;

        private IntPtr frame;
        private bool isOfLoop;

        internal static FrameGuard Of(IntPtr frame)
        {
            FrameGuard guard = Interlocked.Exchange(ref spare, null) ?? new FrameGuard();
            guard.frame = frame;
            return guard;
        }

        /// <summary>The frame is the caller's now.</summary>
        internal IntPtr Take()
        {
            IntPtr taken = frame;
            frame = IntPtr.Zero;
            if (!isOfLoop) Volatile.Write(ref spare, this);
            return taken;
        }

        /// <summary>For all frames of a loop, one after the other.</summary>
        internal static FrameGuard OfLoop() => new FrameGuard { isOfLoop = true };

        /// <summary>The frame that it has, for the call that gives it back and puts the next one
        /// there.</summary>
        internal ref IntPtr Held => ref frame;

        ~FrameGuard()
        {
            if (frame != IntPtr.Zero) Native.zb_frame_release(frame);
        }
    }

    /// <summary>A received frame: a view of shared memory. Dispose it to return its space; the
    /// collector does that late. The pointer must not be used afterwards.</summary>
    public sealed unsafe class Frame : IDisposable
    {
        private FrameGuard guard;
        private byte* data;
        private int size;

        /// <summary>The frame of a time-out.</summary>
        public static Frame Invalid => new Frame();

        internal Frame() { }

        internal Frame(IntPtr frame)
        {
            ulong sequence;
            ulong length;
            byte* bytes;
            Errors.Check(Native.zb_frame_get(frame, &bytes, &length, &sequence), End.Writer);
            size = Own(frame, length);
            data = bytes;
            Sequence = sequence;
        }

        internal Frame(IntPtr frame, byte* bytes, ulong length, ulong sequence)
        {
            size = Own(frame, length);
            data = bytes;
            Sequence = sequence;
        }

        private int Own(IntPtr frame, ulong length)
        {
            if (length > int.MaxValue)
            {
                Native.zb_frame_release(frame);
                throw new FrameTooLargeException("the frame has " + length + " bytes; .NET can address 2 GiB");
            }
            guard = FrameGuard.Of(frame);
            return (int)length;
        }

        /// <summary>Becomes the frame after it, for a loop: it has been given back.</summary>
        internal void Become(FrameGuard owner, byte* bytes, ulong length, ulong sequence)
        {
            if (length > int.MaxValue)
                throw new FrameTooLargeException("the frame has " + length + " bytes; .NET can address 2 GiB");
            guard = owner;
            size = (int)length;
            data = bytes;
            Sequence = sequence;
        }

        public ulong Sequence { get; private set; }
        public int Size => size;
        public bool IsValid => data != null;

        /// <summary>The bytes in shared memory; null after Dispose.</summary>
        public byte* Pointer => data;
        public IntPtr DataPointer => (IntPtr)data;

#if ZEROBUFFER_SPAN
        public ReadOnlySpan<byte> Span => new ReadOnlySpan<byte>(data, data == null ? 0 : size);
        public Span<byte> GetMutableSpan() => new Span<byte>(data, data == null ? 0 : size);
#endif

        /// <summary>A copy.</summary>
        public byte[] ToArray()
        {
            if (data == null) return new byte[0];
            var copy = new byte[size];
            Marshal.Copy((IntPtr)data, copy, 0, size);
            GC.KeepAlive(this);
            return copy;
        }

        /// <summary>A stream over the bytes, without a copy, until Dispose.</summary>
        public Stream OpenStream() => new UnmanagedMemoryStream(data, size, size, FileAccess.ReadWrite);

        public void Dispose()
        {
            FrameGuard held = Interlocked.Exchange(ref guard, null);
            data = null;
            if (held == null) return;
            IntPtr frame = held.Take();
            if (frame != IntPtr.Zero) Fast.Release(frame);
        }

        /// <summary>Leaves the frame to whom it belongs.</summary>
        internal void Detach()
        {
            Interlocked.Exchange(ref guard, null)?.Take();
            data = null;
        }
    }
}
