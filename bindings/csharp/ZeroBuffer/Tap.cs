using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace ZeroBuffer
{
    /// <summary>A frame that a Tap has copied. The pointer is valid until the tap's next call.</summary>
    public unsafe struct TapFrame
    {
        internal TapFrame(byte* data, ulong size, ulong sequence)
        {
            if (size > int.MaxValue)
                throw new FrameTooLargeException("the frame has " + size + " bytes; .NET can address 2 GiB");
            Pointer = data;
            Size = (int)size;
            Sequence = sequence;
        }

        public byte* Pointer { get; }
        public int Size { get; }
        public ulong Sequence { get; }
        /// <summary>False: none came in time.</summary>
        public bool IsValid => Pointer != null;

#if ZEROBUFFER_SPAN
        public ReadOnlySpan<byte> Span => new ReadOnlySpan<byte>(Pointer, Size);
#endif

        /// <summary>A copy that lasts.</summary>
        public byte[] ToArray()
        {
            var copy = new byte[Size];
            if (Pointer != null) Marshal.Copy((IntPtr)Pointer, copy, 0, Size);
            return copy;
        }
    }

    public enum TapState
    {
        /// <summary>A writer is attached.</summary>
        Writing,
        /// <summary>None is.</summary>
        NoWriter,
        /// <summary>The buffer is gone.</summary>
        Ended
    }

    /// <summary>Sees the frames of a live stream, and disturbs nothing. One thread at a time.</summary>
    public sealed unsafe class Tap : IDisposable
    {
        private readonly TapHandle handle;

        /// <summary>Begins with the newest frame that is there.</summary>
        public Tap(string name)
        {
            Native.Check(name, nameof(name));
            handle = Open(name);
            Name = name;
        }

        // A method of its own: mono looks for the library when it compiles what calls it, and where
        // it is may be given.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static TapHandle Open(string name)
        {
            IntPtr tap;
            Errors.Check(Native.zb_tap_open(Native.Text(name), out tap), End.Reader);
            return new TapHandle(tap);
        }

        public string Name { get; }

        /// <summary>The next frame; one that is not valid if none came. What is overwritten before it
        /// is copied is missed. A ReaderDeadException once the buffer has ended.</summary>
        public TapFrame Next(TimeSpan timeout)
        {
            byte* data;
            ulong size, sequence;
            int status = Native.zb_tap_next(handle.Raw, Native.Nanoseconds(timeout), &data, &size, &sequence);
            return Seen(status, data, size, sequence);
        }

        /// <summary>The newest frame; those before it do not count as missed.</summary>
        public TapFrame Latest(TimeSpan timeout)
        {
            byte* data;
            ulong size, sequence;
            int status = Native.zb_tap_latest(handle.Raw, Native.Nanoseconds(timeout), &data, &size, &sequence);
            return Seen(status, data, size, sequence);
        }

        private TapFrame Seen(int status, byte* data, ulong size, ulong sequence)
        {
            GC.KeepAlive(this);
            return Errors.InTime(status, End.Reader) ? new TapFrame(data, size, sequence) : new TapFrame();
        }

        /// <summary>A copy of the metadata; empty if none were written.</summary>
        public byte[] GetMetadata() => Native.Copy(handle, Native.zb_tap_metadata, End.Reader);

        public TapState State
        {
            [MethodImpl(MethodImplOptions.NoInlining)]
            get
            {
                int status = Native.zb_tap_state(handle.Raw);
                if (status == Native.PeerGone) return TapState.Ended;
                if (status == Native.None) return TapState.NoWriter;
                Errors.Check(status, End.Reader);
                return TapState.Writing;
            }
        }

        /// <summary>How many frames were missed; null: it is not known.</summary>
        public ulong? Missed
        {
            [MethodImpl(MethodImplOptions.NoInlining)]
            get
            {
                ulong value;
                int status = Native.zb_tap_stat(handle.Raw, Native.StatLost, out value);
                if (status == Native.None) return null;
                Errors.Check(status, End.Reader);
                return value;
            }
        }

        public void Dispose() { handle.Dispose(); }
    }
}
