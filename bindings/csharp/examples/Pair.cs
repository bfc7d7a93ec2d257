using System;
using System.Threading;
using ZeroBuffer;

/// <summary>A camera and a display in one program; usually they are two. Usage: Pair.exe NAME</summary>
internal static unsafe class Pair
{
    private const int Width = 640, Height = 480, Pictures = 100;

    private static void Camera(string name)
    {
        using (var writer = new Writer(name, TimeSpan.FromSeconds(10)))
        {
            writer.SetMetadata(System.Text.Encoding.UTF8.GetBytes("gray 640x480"));
            for (int number = 0; number < Pictures; number++)
            {
                ulong sequence;
                byte* picture = writer.GetFramePointer(Width * Height, out sequence);
                for (int at = 0; at < Width * Height; at++) picture[at] = (byte)(at + number);
                writer.CommitFrame();
            }
        }
    }

    private static int Main(string[] words)
    {
        string name = words.Length > 0 ? words[0] : "pictures";
        using (var reader = new Reader(name, new BufferConfig(1024, 4 * 1024 * 1024)))
        {
            var camera = new Thread(() => Camera(name));
            camera.Start();
            long sum = 0;
            try
            {
                while (true)
                    using (Frame frame = reader.ReadFrame(TimeSpan.FromSeconds(10)))
                        if (frame.IsValid) sum += frame.Pointer[0];
            }
            catch (WriterDeadException)
            {
                Console.WriteLine("{0} pictures, first bytes sum up to {1}", reader.FramesRead, sum);
            }
            camera.Join();
            return reader.FramesRead == Pictures && sum == Pictures * (Pictures - 1) / 2 ? 0 : 1;
        }
    }
}
