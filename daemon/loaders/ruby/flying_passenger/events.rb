# frozen_string_literal: true

# Passenger's Ruby interface for apps: callbacks for events of a process.
module PhusionPassenger
  EVENTS = %i[
    starting_worker_process stopping_worker_process starting_request_handler_thread credentials
    after_installing_signal_handlers oob_work unhandled_exception_before_exit
  ].freeze

  @callbacks = Hash.new { |callbacks, name| callbacks[name] = [] }

  class << self
    # The number of requests that a process accepts; ignored, because a process serves one at a time.
    attr_accessor :advertised_concurrency_level

    def on_event(name, &block)
      raise ArgumentError, "Unknown event name '#{name}'" unless EVENTS.include?(name)

      @callbacks[name] << block
    end

    # Parts of Passenger's library that apps load by name.
    def require_passenger_lib(name)
      raise LoadError, "cannot load Passenger's library #{name.inspect}" unless name == 'rack/out_of_band_gc'

      require_relative 'out_of_band_gc'
    end

    def call_event(name, *arguments)
      @callbacks[name].each { |callback| callback.call(*arguments) }
    end
  end
end
