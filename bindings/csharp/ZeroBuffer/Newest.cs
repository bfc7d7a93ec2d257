using System;
using System.Runtime.CompilerServices;

namespace ZeroBuffer
{
    /// <summary>The reading end for a consumer that is slower than its writer: it creates the buffer,
    /// and always has the newest frame. A thread of the library takes all frames out of the ring, so
    /// the writer never waits. A frame is a copy, and holds no space of the ring. One thread at a
    /// time may read; what any thread may call says so.</summary>
    public sealed unsafe class Newest : IDisposable
    {
        private readonly NewestHandle handle;

        public Newest(string name) : this(name, new BufferConfig()) { }

        /// <summary>The ring has to hold three frames.</summary>
        public Newest(string name, BufferConfig config)
        {
            Native.Check(name, nameof(name));
            if (config == null) throw new ArgumentNullException(nameof(config));
            handle = new NewestHandle(Native.Open(
                name, config.Options(),
                (byte[] text, IntPtr options, out IntPtr opened) => Native.zb_newest_create(text, options, out opened), End.Writer));
            Name = name;
        }

        public string Name { get; }

        /// <summary>The newest frame that was not handed out yet, within 5 s or the given time; one
        /// that is not valid if none came. A WriterDeadException as from a Reader.</summary>
        public Frame ReadFrame(TimeSpan? timeout = null)
        {
            IntPtr frame;
            ulong skipped;
            int status = Native.zb_newest_read(handle.Raw, Native.Nanoseconds(timeout), out frame, out skipped);
            GC.KeepAlive(this);
            if (!Errors.InTime(status, End.Writer)) return Frame.Invalid;
            Skipped = skipped;
            return new Frame(frame);
        }

        /// <summary>How many frames were passed over for the last one.</summary>
        public ulong Skipped { get; private set; }

        /// <summary>How many were passed over since the start. Any thread.</summary>
        public ulong FramesSkipped => Stat(Native.StatLost);

        private ulong Stat(int key) => Native.Stat(handle, Native.zb_newest_stat, key, End.Writer);

        /// <summary>A copy of the metadata; empty if none were written. Any thread.</summary>
        public byte[] GetMetadata() => Native.Copy(handle, Native.zb_newest_metadata, End.Writer);

        /// <summary>Any thread.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public bool IsWriterConnected() => Native.zb_newest_has_writer(handle.Raw) == Native.Ok;

        /// <summary>Ends a blocked read of another thread, and later ones, with a ClosedException.
        /// It cannot be taken back. Any thread.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void Interrupt() { Errors.Check(Native.zb_newest_interrupt(handle.Raw), End.Writer); }

        public void Dispose() { handle.Dispose(); }
    }
}
