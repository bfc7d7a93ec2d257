// Looks for a circle in the pictures of opencv_camera, without a copy. Usage: opencv_viewer NAME
#include <cstdio>
#include <cstring>
#include <opencv2/imgproc.hpp>
#include <vector>
#include <zerobuffer.hpp>

// Where the bright disc is; radius 0: nowhere.
static float radius_of_disc(const cv::Mat& picture) {
    cv::Mat grey, bright;
    cv::cvtColor(picture, grey, cv::COLOR_BGR2GRAY);
    cv::threshold(grey, bright, 100, 255, cv::THRESH_BINARY);
    std::vector<std::vector<cv::Point>> outlines;
    cv::findContours(bright, outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
    cv::Point2f centre;
    float radius = 0;
    if (outlines.size() == 1) cv::minEnclosingCircle(outlines[0], centre, radius);
    return radius;
}

int main(int count, char** words) {
    if (count != 2) {
        std::fprintf(stderr, "usage: opencv_viewer NAME\n");
        return 2;
    }
    try {
        zerobuffer::Reader reader(words[1], zerobuffer::BufferConfig(1024, 8 * 1024 * 1024));
        int pictures = 0, found = 0;
        // Until the camera has gone.
        for (zerobuffer::Frame& frame : reader) {
            std::int32_t size[2];
            const std::vector<std::uint8_t> metadata = reader.get_metadata();
            if (metadata.size() != sizeof size) return 1;
            std::memcpy(size, metadata.data(), sizeof size);
            if (frame.size() != static_cast<std::size_t>(size[0]) * static_cast<std::size_t>(size[1]) * 3) return 1;
            const cv::Mat picture(size[1], size[0], CV_8UC3, frame.data());
            const float radius = radius_of_disc(picture);
            pictures++;
            found += radius > 55 && radius < 65;
        }
        std::printf("%d pictures, a circle in %d\n", pictures, found);
    } catch (const zerobuffer::ZeroBufferException& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
