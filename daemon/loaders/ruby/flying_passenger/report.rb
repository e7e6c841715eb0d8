# frozen_string_literal: true

module FlyingPassenger
  # Reports to the daemon, once, that the process is ready or why it is not.
  class Report
    # A failure with a known cause: what is missing or wrong.
    class Failure < StandardError
      attr_reader :details

      def initialize(summary, details = '')
        super(summary)
        @details = details
      end
    end

    # Characters of the reason why native support is not used.
    REASON_LENGTH = 300

    def initialize(descriptor)
      @pipe = IO.for_fd(descriptor, 'w')
      @pipe.close_on_exec = true
    end

    # The app is about to be loaded: everything before went well.
    def loading
      @pipe.write("loading\n")
    end

    # Whether native support is used; `reason` why not, or nil.
    def native(reason)
      @pipe.write(reason ? "native no #{first_line(reason)[0, REASON_LENGTH]}\n" : "native yes\n")
    end

    # Requests may be sent, so many at a time.
    def ready(at_once = 1)
      @pipe.write(at_once == 1 ? "ready\n" : "ready #{at_once}\n")
      @pipe.close
    end

    # Runs the block; a failure in it is reported and ends the process.
    def failures
      yield
    rescue Failure => e
      fail_with(e.message, e.details)
    rescue SystemExit => e
      fail_with("the app ended itself while it was loaded (exit status #{e.status})", backtrace(e))
    rescue Exception => e # rubocop:disable Lint/RescueException
      fail_with("the app failed while it was loaded: #{e.class}: #{first_line(e.message)}", backtrace(e))
    end

    private

    def fail_with(summary, details)
      @pipe.write("error #{first_line(summary)}\n#{details}")
      @pipe.close
      exit!(1)
    end

    def first_line(text)
      text.to_s.dup.force_encoding(Encoding::UTF_8).scrub('?').each_line.first.to_s.chomp
    end

    def backtrace(error)
      error.full_message(highlight: false, order: :top)
    end
  end
end
