using System;

namespace ZeroBuffer
{
    /// <summary>The frames of a Reader, for foreach: see Reader.Frames.</summary>
    public struct FrameLoop
    {
        private readonly Reader reader;
        private readonly long timeout;

        internal FrameLoop(Reader reader, long timeout)
        {
            this.reader = reader;
            this.timeout = timeout;
        }

        public Enumerator GetEnumerator() => new Enumerator(reader, timeout);

        public sealed unsafe class Enumerator : IDisposable
        {
            private readonly Reader reader;
            private readonly IntPtr handle;
            private readonly long timeout;
            private readonly Frame frame = new Frame();
            private readonly FrameGuard guard = FrameGuard.OfLoop();

            internal Enumerator(Reader reader, long timeout)
            {
                this.reader = reader;
                this.timeout = timeout;
                handle = reader.Raw;
            }

            public Frame Current => frame;

            public bool MoveNext()
            {
                byte* data;
                ulong size, sequence;
                int status;
                // It gives the last frame back first.
                fixed (IntPtr* held = &guard.Held)
                    status = Fast.Next(handle, timeout, held, &data, &size, &sequence);
                GC.KeepAlive(reader);
                if (status == Native.Ok)
                {
                    frame.Become(guard, data, size, sequence);
                    return true;
                }
                frame.Detach();
                if (status == Native.Timeout || status == Native.PeerGone) return false;
                throw Errors.Of(status, End.Writer);
            }

            public void Dispose()
            {
                frame.Dispose();
                GC.KeepAlive(this);
            }
        }
    }
}
