# frozen_string_literal: true

module FlyingPassenger
  # EventMachine's reactor, which some applications run in a thread of their own (faye-websocket).
  module Reactor
    # Seconds that a callback may still take.
    PATIENCE = 1

    module_function

    # Stops it before the interpreter ends, which kills threads: a reactor that is killed inside a callback can crash the
    # process.
    def stop
      return unless defined?(::EventMachine) && ::EventMachine.reactor_running?

      thread = ::EventMachine.reactor_thread
      ::EventMachine.next_tick { ::EventMachine.stop_event_loop }
      thread&.join(PATIENCE)
    rescue StandardError => e
      warn("EventMachine cannot be stopped: #{e.full_message(highlight: false, order: :top)}")
    end
  end
end
