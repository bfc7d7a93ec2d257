using System;
using System.Runtime.CompilerServices;
using System.Text;

namespace ZeroBuffer
{
    /// <summary>The reading end: creates a buffer, owns it, takes frames out of it. One thread at a
    /// time may read; what any thread may call says so.</summary>
    public sealed unsafe class Reader : IDisposable
    {
        private readonly ReaderHandle handle;

        public Reader(string name) : this(name, new BufferConfig()) { }

        public Reader(string name, BufferConfig config)
        {
            Native.Check(name, nameof(name));
            if (config == null) throw new ArgumentNullException(nameof(config));
            handle = new ReaderHandle(Native.Open(
                name, config.Options(),
                (byte[] text, IntPtr options, out IntPtr opened) => Native.zb_reader_create(text, options, out opened), End.Writer));
            Name = name;
        }

        private Reader(ReaderHandle handle)
        {
            this.handle = handle;
            var name = new byte[256];
            UIntPtr size;
            fixed (byte* bytes = name)
                Errors.Check(Native.zb_reader_name(handle.Raw, bytes, (UIntPtr)name.Length, out size), End.Writer);
            Name = Encoding.UTF8.GetString(name, 0, (int)size);
        }

        /// <summary>Subscribes to the broadcast of that name: creates a buffer NAME@SUBSCRIBER under a
        /// name that is free. The Broadcaster need not be there yet. Without a config the ring is as
        /// large as that of the buffer NAME, where there is one.</summary>
        public static Reader Subscribe(string name, BufferConfig config = null)
        {
            Native.Check(name, nameof(name));
            return new Reader(new ReaderHandle(Native.Open(
                name, config == null ? new Options() : config.Options(),
                (byte[] text, IntPtr options, out IntPtr opened) => Native.zb_reader_subscribe(text, options, out opened), End.Writer)));
        }

        public string Name { get; }

        /// <summary>A copy of the metadata; empty if none were written. Any thread.</summary>
        public byte[] GetMetadata() => Native.Copy(handle, Native.zb_reader_metadata, End.Writer);

        /// <summary>The next frame, within 5 s or the given time; one that is not valid if none came.
        /// A WriterDeadException once a writer was here, is gone, and all its frames are read.</summary>
        public Frame ReadFrame(TimeSpan? timeout = null)
        {
            IntPtr frame = IntPtr.Zero;
            byte* data;
            ulong size, sequence;
            int status = Fast.Next(handle.Raw, Native.Nanoseconds(timeout), &frame, &data, &size, &sequence);
            GC.KeepAlive(this);
            if (status == Native.Ok) return new Frame(frame, data, size, sequence);
            if (status == Native.Timeout) return Frame.Invalid;
            throw Errors.Of(status, End.Writer);
        }

        /// <summary>All frames, for foreach: until the writer is gone and all are read, or none came
        /// within 5 s or the given time. A frame is given back when the next one is asked for, so it
        /// must not be kept: it becomes the next one. One call of the native side for each frame.</summary>
        public FrameLoop Frames(TimeSpan? timeout = null) =>
            new FrameLoop(this, Native.Nanoseconds(timeout));

        internal IntPtr Raw => handle.Raw;

        /// <summary>Any thread.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public bool IsWriterConnected() => Native.zb_reader_has_writer(handle.Raw) == Native.Ok;

        /// <summary>Waits for a writer.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public bool IsWriterConnected(TimeSpan timeout)
        {
            int status = Native.zb_reader_wait_for_writer(handle.Raw, Native.Nanoseconds(timeout));
            return Errors.InTime(status, End.Writer);
        }

        /// <summary>Any thread.</summary>
        public ulong FramesRead => Stat(Native.StatFrames);
        public ulong BytesRead => Stat(Native.StatBytes);

        private ulong Stat(int key) => Native.Stat(handle, Native.zb_reader_stat, key, End.Writer);

        /// <summary>Ends a blocked read of another thread, and later ones, with a ClosedException.
        /// Any thread.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void Interrupt() { Errors.Check(Native.zb_reader_interrupt(handle.Raw), End.Writer); }
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void Resume() { Errors.Check(Native.zb_reader_resume(handle.Raw), End.Writer); }

        public void Dispose() { handle.Dispose(); }
    }
}
