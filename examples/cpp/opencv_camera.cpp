// A camera that is drawn: OpenCV writes each picture in shared memory. Usage: opencv_camera NAME
#include <cstdio>
#include <opencv2/imgproc.hpp>
#include <zerobuffer.hpp>

int main(int count, char** words) {
    if (count != 2) {
        std::fprintf(stderr, "usage: opencv_camera NAME\n");
        return 2;
    }
    try {
        const int width = 640, height = 480;
        zerobuffer::WriterConfig config;
        config.connect_timeout = std::chrono::seconds(10);
        zerobuffer::Writer writer(words[1], config);
        const std::int32_t size[2] = {width, height};
        writer.set_metadata(size, sizeof size);
        for (int number = 0; number < 60; number++) {
            // The picture has no memory of its own: it lies in the ring.
            cv::Mat picture(height, width, CV_8UC3, writer.get_frame_buffer(width * height * 3));
            picture.setTo(cv::Scalar(40, 40, 40));
            cv::circle(picture, cv::Point(100 + 7 * number, 240), 60, cv::Scalar(0, 200, 255), cv::FILLED);
            writer.commit_frame();
        }
    } catch (const zerobuffer::ZeroBufferException& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
