using System;
using System.Runtime.CompilerServices;

namespace ZeroBuffer
{
    /// <summary>The writing end: connects to a reader's buffer. One thread at a time.</summary>
    public sealed unsafe class Writer : IDisposable
    {
        private readonly WriterHandle handle;
        /// <summary>For the answer of one request.</summary>
        private readonly IntPtr responder;
        private int pending;
        private TimeSpan writeTimeout = TimeSpan.FromSeconds(5);

        public Writer(string name) : this(name, TimeSpan.Zero) { }

        /// <summary>Waits for the reader to create the buffer.</summary>
        public Writer(string name, TimeSpan connectTimeout)
        {
            Native.Check(name, nameof(name));
            handle = new WriterHandle(Native.Open(
                name, new Options().Set(Native.ConnectTimeout, Native.Nanoseconds(connectTimeout)),
                (byte[] text, IntPtr options, out IntPtr opened) => Native.zb_writer_connect(text, options, out opened), End.Reader));
            Name = name;
        }

        internal Writer(IntPtr responder)
        {
            this.responder = responder;
            Name = "";
        }

        public string Name { get; }

        private bool Answers => responder != IntPtr.Zero;

        /// <summary>How long one write waits for room.</summary>
        public TimeSpan WriteTimeout
        {
            get { return writeTimeout; }
            set
            {
                if (!Answers)
                    Errors.Check(Native.zb_writer_set_write_timeout(handle.Raw, Native.Nanoseconds(value)), End.Reader);
                writeTimeout = value;
            }
        }

        /// <summary>Once per writer.</summary>
        public void SetMetadata(byte[] data)
        {
            if (data == null) throw new ArgumentNullException(nameof(data));
            if (Answers) throw new InvalidOperationException("a response has no metadata");
            fixed (byte* bytes = data)
                Errors.Check(Native.zb_writer_set_metadata(handle.Raw, bytes, (UIntPtr)data.Length), End.Reader);
        }

        /// <summary>Copies one frame into the ring.</summary>
        public void WriteFrame(byte[] data)
        {
            if (data == null) throw new ArgumentNullException(nameof(data));
            fixed (byte* bytes = data) WriteFrame(bytes, data.Length);
        }

        public void WriteFrame(byte[] data, int offset, int count)
        {
            if (data == null) throw new ArgumentNullException(nameof(data));
            if (offset < 0 || count < 0 || offset > data.Length - count) throw new ArgumentOutOfRangeException();
            fixed (byte* bytes = data) WriteFrame(bytes + offset, count);
        }

        public void WriteFrame(byte* data, int size)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            int status = Answers
                ? Native.zb_responder_write(responder, data, (UIntPtr)size)
                : Fast.Write(handle.Raw, data, size);
            GC.KeepAlive(this);
            Errors.Check(status, End.Reader);
        }

        /// <summary>Ring memory for one frame, which CommitFrame publishes; another write gives it
        /// up.</summary>
        public byte* GetFramePointer(int size, out ulong sequenceNumber)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            byte* data;
            if (Answers)
            {
                sequenceNumber = Native.zb_responder_sequence(responder);
                Errors.Check(Native.zb_responder_loan(responder, (UIntPtr)size, out data), End.Reader);
            }
            else
            {
                Errors.Check(Native.zb_writer_loan(handle.Raw, (UIntPtr)size, out data), End.Reader);
                Errors.Check(Native.zb_writer_next_sequence(handle.Raw, out sequenceNumber), End.Reader);
            }
            pending = size;
            return data;
        }

#if ZEROBUFFER_SPAN
        public Span<byte> GetFrameBuffer(int size, out ulong sequenceNumber) =>
            new Span<byte>(GetFramePointer(size, out sequenceNumber), size);

        public void WriteFrame(ReadOnlySpan<byte> data)
        {
            fixed (byte* bytes = data) WriteFrame(bytes, data.Length);
        }

        public void SetMetadata(ReadOnlySpan<byte> data) { SetMetadata(data.ToArray()); }
#endif

        public void CommitFrame() { CommitFrame(pending); }

        /// <summary>Publishes the first bytes of it only.</summary>
        public void CommitFrame(int size)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            int status = Answers
                ? Native.zb_responder_commit(responder, (UIntPtr)size)
                : Native.zb_writer_commit(handle.Raw, (UIntPtr)size, IntPtr.Zero);
            Errors.Check(status, End.Reader);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void AbortFrame()
        {
            int status = Answers ? Native.zb_responder_abort(responder) : Native.zb_writer_abort(handle.Raw);
            if (status != Native.None) Errors.Check(status, End.Reader);
        }

        /// <summary>Any thread.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public bool IsReaderConnected() => Answers || Native.zb_writer_has_reader(handle.Raw) == Native.Ok;

        public ulong FramesWritten => Stat(Native.StatFrames);
        public ulong BytesWritten => Stat(Native.StatBytes);

        private ulong Stat(int key)
        {
            if (Answers) throw new InvalidOperationException("a response has no counters");
            return Native.Stat(handle, Native.zb_writer_stat, key, End.Reader);
        }

        public void Dispose() { handle?.Dispose(); }
    }
}
