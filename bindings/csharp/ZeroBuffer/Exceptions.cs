using System;

namespace ZeroBuffer
{
    /// <summary>The base of all errors of the library.</summary>
    public class ZeroBufferException : Exception
    {
        public ZeroBufferException(string message) : base(message) { }
        public ZeroBufferException(string message, Exception innerException) : base(message, innerException) { }
    }

    /// <summary>The ring had no room in time.</summary>
    public class BufferFullException : ZeroBufferException
    {
        public BufferFullException(string message = "the buffer is full") : base(message) { }
    }

    /// <summary>The frame can never fit the ring.</summary>
    public class FrameTooLargeException : ZeroBufferException
    {
        public FrameTooLargeException(string message = "the frame is too large") : base(message) { }
    }

    /// <summary>The writer is gone, and all its frames are read.</summary>
    public class WriterDeadException : ZeroBufferException
    {
        public WriterDeadException(string message = "the writer is gone") : base(message) { }
    }

    /// <summary>The reader is gone.</summary>
    public class ReaderDeadException : ZeroBufferException
    {
        public ReaderDeadException(string message = "the reader is gone") : base(message) { }
    }

    /// <summary>No buffer of that name exists.</summary>
    public class BufferNotFoundException : ZeroBufferException
    {
        public BufferNotFoundException(string message) : base(message) { }
    }

    /// <summary>The buffer has a writer already.</summary>
    public class WriterAlreadyConnectedException : ZeroBufferException
    {
        public WriterAlreadyConnectedException(string message = "there is a writer already") : base(message) { }
    }

    /// <summary>The buffer has a reader already.</summary>
    public class ReaderAlreadyConnectedException : ZeroBufferException
    {
        public ReaderAlreadyConnectedException(string message = "there is a reader already") : base(message) { }
    }

    /// <summary>A frame must have at least one byte.</summary>
    public class InvalidFrameSizeException : ZeroBufferException
    {
        public InvalidFrameSizeException(string message) : base(message) { }
    }

    /// <summary>The metadata are written already.</summary>
    public class MetadataAlreadyWrittenException : ZeroBufferException
    {
        public MetadataAlreadyWrittenException(string message) : base(message) { }
    }

    /// <summary>A frame does not carry the next number.</summary>
    public class SequenceException : ZeroBufferException
    {
        public SequenceException(string message) : base(message) { }
    }

    /// <summary>The handler of a request failed in the server.</summary>
    public class RemoteException : ZeroBufferException
    {
        public RemoteException(string message) : base(message) { }
    }

    /// <summary>This end was interrupted.</summary>
    public class ClosedException : ZeroBufferException
    {
        public ClosedException(string message) : base(message) { }
    }

    /// <summary>Which end is gone if one is.</summary>
    internal enum End { Reader, Writer }

    internal static class Errors
    {
        internal static void Check(int status, End other)
        {
            if (status != Native.Ok) throw Of(status, other);
        }

        /// <summary>False: not in time.</summary>
        internal static bool InTime(int status, End other)
        {
            if (status != Native.Timeout) Check(status, other);
            return status == Native.Ok;
        }

        internal static Exception Of(int status, End other)
        {
            string text = Native.LastError();
            switch (status)
            {
                case Native.PeerGone:
                    return other == End.Writer ? (Exception)new WriterDeadException(text) : new ReaderDeadException(text);
                case Native.Full: return new BufferFullException(text);
                case Native.FrameTooLarge: return new FrameTooLargeException(text);
                case Native.EmptyFrame: return new InvalidFrameSizeException(text);
                case Native.NotFound: return new BufferNotFoundException(text);
                case Native.WriterConnected: return new WriterAlreadyConnectedException(text);
                case Native.ReaderConnected: return new ReaderAlreadyConnectedException(text);
                case Native.MetadataWritten: return new MetadataAlreadyWrittenException(text);
                case Native.Sequence: return new SequenceException(text);
                case Native.Remote: return new RemoteException(text);
                case Native.Closed: return new ClosedException(text);
                case Native.InvalidHandle: return new ObjectDisposedException(null, text);
                case Native.InvalidArgument: return new ArgumentException(text);
                case Native.PermissionDenied: return new UnauthorizedAccessException(text);
                default: return new ZeroBufferException(text);
            }
        }
    }
}
