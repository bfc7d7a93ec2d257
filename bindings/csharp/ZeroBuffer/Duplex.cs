using System;
using System.Runtime.CompilerServices;
using System.Text;

namespace ZeroBuffer.DuplexChannel
{
    /// <summary>Answers a request by the writer, once. What it throws is told to the client.</summary>
    public delegate void RequestHandler(Frame request, Writer responseWriter);

    public enum ProcessingMode { SingleThread, ThreadPool }

    /// <summary>What went wrong in a server.</summary>
    public class ErrorEventArgs : EventArgs
    {
        public ErrorEventArgs(Exception exception) { Exception = exception; }
        public Exception Exception { get; }
    }

    public interface IDuplexServer : IDisposable
    {
        void Stop();
        bool IsRunning { get; }
        event EventHandler<ErrorEventArgs> OnError;
    }

    public interface IImmutableDuplexServer : IDuplexServer
    {
        /// <summary>onInit gets each client's metadata before its first request.</summary>
        void Start(RequestHandler onFrame, Action<byte[]> onInit = null,
                   ProcessingMode mode = ProcessingMode.SingleThread);
    }

    public interface IMutableDuplexServer : IDuplexServer
    {
        /// <summary>What the handler makes of the request is the response.</summary>
        void Start(Action<Frame> handler);
    }

    public unsafe interface IDuplexClient : IDisposable
    {
        /// <summary>Returns the number that the response will have.</summary>
        ulong SendRequest(byte[] data);
        byte* AcquireRequestPointer(int size, out ulong sequence);
        void CommitRequest();
        /// <summary>Not valid if none came in time.</summary>
        Frame ReceiveResponse(TimeSpan timeout);
        void SetMetadata(byte[] data);
        bool IsServerConnected { get; }
    }

    public interface IDuplexChannelFactory
    {
        IImmutableDuplexServer CreateImmutableServer(string channelName, BufferConfig config);
        IMutableDuplexServer CreateMutableServer(string channelName, BufferConfig config);
        IDuplexClient CreateClient(string channelName);
    }

    public class DuplexChannelFactory : IDuplexChannelFactory
    {
        public IImmutableDuplexServer CreateImmutableServer(string channelName, BufferConfig config) =>
            new ImmutableDuplexServer(channelName, config);
        public IMutableDuplexServer CreateMutableServer(string channelName, BufferConfig config) =>
            new MutableDuplexServer(channelName, config);
        public IDuplexClient CreateClient(string channelName) => new DuplexClient(channelName);
        public IDuplexClient CreateClient(string channelName, BufferConfig responses) =>
            new DuplexClient(channelName, responses);
    }

    /// <summary>The asking end. Any number of threads may use it at a time.</summary>
    public sealed unsafe class DuplexClient : IDuplexClient
    {
        private readonly ClientHandle handle;
        private int pending;

        public DuplexClient(string channelName, BufferConfig responses = null)
        {
            Native.Check(channelName, nameof(channelName));
            handle = Connect(channelName, responses);
        }

        // A method of its own: mono looks for the library when it compiles what calls it, and where
        // it is may be given.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static ClientHandle Connect(string channelName, BufferConfig responses)
        {
            using (var options = new Options())
            {
                if (responses != null)
                {
                    options.Set(Native.ResponseSize, responses.PayloadSize);
                    options.Set(Native.ResponseMetadataSize, responses.MetadataSize);
                    if (responses.Mode >= 0) options.Set(Native.Mode, responses.Mode);
                }
                IntPtr client;
                Errors.Check(Native.zb_client_connect(Native.Text(channelName), options.Handle, out client), End.Reader);
                return new ClientHandle(client);
            }
        }

        public ulong SendRequest(byte[] data)
        {
            if (data == null) throw new ArgumentNullException(nameof(data));
            ulong sequence;
            fixed (byte* bytes = data)
                Errors.Check(Native.zb_client_send(handle.Raw, bytes, (UIntPtr)data.Length, out sequence), End.Reader);
            return sequence;
        }

        public byte* AcquireRequestPointer(int size, out ulong sequence)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            byte* data;
            Errors.Check(Native.zb_client_loan(handle.Raw, (UIntPtr)size, out data, out sequence), End.Reader);
            pending = size;
            return data;
        }

#if ZEROBUFFER_SPAN
        public ulong AcquireRequestBuffer(int size, out Span<byte> buffer)
        {
            ulong sequence;
            buffer = new Span<byte>(AcquireRequestPointer(size, out sequence), size);
            return sequence;
        }
#endif

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void CommitRequest()
        {
            ulong sequence;
            Errors.Check(Native.zb_client_commit(handle.Raw, (UIntPtr)pending, out sequence), End.Reader);
        }

        public Frame ReceiveResponse(TimeSpan timeout)
        {
            IntPtr frame;
            int status = Native.zb_client_receive(handle.Raw, Native.Nanoseconds(timeout), out frame);
            if (status == Native.Ok) return new Frame(frame);
            if (status == Native.Timeout) return Frame.Invalid;
            throw Errors.Of(status, End.Writer);
        }

        public void SetMetadata(byte[] data)
        {
            if (data == null) throw new ArgumentNullException(nameof(data));
            fixed (byte* bytes = data)
                Errors.Check(Native.zb_client_set_metadata(handle.Raw, bytes, (UIntPtr)data.Length), End.Reader);
        }

        public bool IsServerConnected
        {
            [MethodImpl(MethodImplOptions.NoInlining)]
            get { return Native.zb_client_has_server(handle.Raw) == Native.Ok; }
        }

        public void Dispose() { handle.Dispose(); }
    }

    /// <summary>What both kinds of server have in common.</summary>
    public abstract unsafe class DuplexServer : IDuplexServer
    {
        private readonly string channel;
        private readonly BufferConfig config;
        private readonly object gate = new object();
        private IntPtr server;
        // What the native side holds: the collector must not take them.
        private Native.Handler handler;
        private Native.Error error;
        private Native.Init init;

        public event EventHandler<ErrorEventArgs> OnError;

        internal DuplexServer(string channelName, BufferConfig config)
        {
            Native.Check(channelName, nameof(channelName));
            if (config == null) throw new ArgumentNullException(nameof(config));
            channel = channelName;
            this.config = config;
        }

        public bool IsRunning
        {
            get { lock (gate) return server != IntPtr.Zero && Native.zb_server_is_running(server) == Native.Ok; }
        }

        internal void Begin(Action<Frame, IntPtr> onFrame, Action<byte[]> onInit, ProcessingMode mode, bool edits)
        {
            lock (gate)
            {
                if (server != IntPtr.Zero && Native.zb_server_is_running(server) == Native.Ok)
                    throw new InvalidOperationException("the server is running");
                Free();
                using (Options options = config.Options())
                {
                    if (mode == ProcessingMode.ThreadPool) options.Set(Native.Threads, 0);
                    Errors.Check(Native.zb_server_new(Native.Text(channel), options.Handle, out server), End.Writer);
                }
                error = (user, text) => Report(new ZeroBufferException(Native.Utf8(text)));
                Errors.Check(Native.zb_server_on_error(server, error, IntPtr.Zero), End.Writer);
                if (onInit != null)
                {
                    init = (user, data, size) => Initialise(onInit, data, size);
                    Errors.Check(Native.zb_server_on_init(server, init, IntPtr.Zero), End.Writer);
                }
                handler = (user, request, responder) => Handle(onFrame, request, responder, edits);
                int status = edits
                    ? Native.zb_server_start_editing(server, handler, IntPtr.Zero)
                    : Native.zb_server_start(server, handler, IntPtr.Zero);
                Errors.Check(status, End.Writer);
            }
        }

        // No exception crosses into the native side.
        private int Handle(Action<Frame, IntPtr> onFrame, IntPtr request, IntPtr responder, bool edits)
        {
            Frame frame = null;
            try
            {
                frame = new Frame(request);
                onFrame(frame, responder);
                return 0;
            }
            catch (Exception exception)
            {
                Report(exception);
                byte[] message = Encoding.UTF8.GetBytes(exception.Message.Replace('\0', ' ') + "\0");
                byte[] kind = Encoding.UTF8.GetBytes(exception.GetType().Name + "\0");
                return Native.zb_responder_fail(responder, kind, message, null) == Native.Ok ? 0 : 1;
            }
            finally
            {
                // An edited one is sent by the native side.
                if (edits) frame?.Detach();
                else frame?.Dispose();
            }
        }

        private void Initialise(Action<byte[]> onInit, byte* data, UIntPtr size)
        {
            if (data == null) return;
            try
            {
                var copy = new byte[(int)size];
                System.Runtime.InteropServices.Marshal.Copy((IntPtr)data, copy, 0, copy.Length);
                onInit(copy);
            }
            catch (Exception exception) { Report(exception); }
        }

        private void Report(Exception exception)
        {
            try { OnError?.Invoke(this, new ErrorEventArgs(exception)); }
            catch (Exception) { } // there is nobody left to tell
        }

        public void Stop()
        {
            IntPtr stopped = server;
            if (stopped != IntPtr.Zero) Native.zb_server_stop(stopped);
        }

        private void Free()
        {
            if (server == IntPtr.Zero) return;
            if (Native.zb_server_free(server) == Native.Busy)
                throw new InvalidOperationException("a server cannot be disposed by its own handler: stop it there");
            server = IntPtr.Zero;
        }

        public void Dispose()
        {
            lock (gate) Free();
            GC.SuppressFinalize(this);
        }
    }

    public sealed class ImmutableDuplexServer : DuplexServer, IImmutableDuplexServer
    {
        public ImmutableDuplexServer(string channelName, BufferConfig config) : base(channelName, config) { }

        public void Start(RequestHandler onFrame, Action<byte[]> onInit = null,
                          ProcessingMode mode = ProcessingMode.SingleThread)
        {
            if (onFrame == null) throw new ArgumentNullException(nameof(onFrame));
            Begin((request, responder) => { using (var writer = new Writer(responder)) onFrame(request, writer); },
                  onInit, mode, false);
        }
    }

    public sealed class MutableDuplexServer : DuplexServer, IMutableDuplexServer
    {
        public MutableDuplexServer(string channelName, BufferConfig config) : base(channelName, config) { }

        public void Start(Action<Frame> handler)
        {
            if (handler == null) throw new ArgumentNullException(nameof(handler));
            Begin((request, responder) => handler(request), null, ProcessingMode.SingleThread, true);
        }
    }
}
