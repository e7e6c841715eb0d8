# frozen_string_literal: true

require_relative 'report'

module FlyingPassenger
  # `passenger_preload_bundler`: Bundler chooses the versions of all gems before anything that comes as a gem is
  # loaded, by the loader too.
  module BundlerFirst
    module_function

    def set_up
      return unless ENV.delete('FLYING_PASSENGER_PRELOAD_BUNDLER')

      require 'bundler/setup'
    rescue LoadError => e
      raise Report::Failure.new('Bundler is missing, which passenger_preload_bundler asks for',
                                e.full_message(highlight: false, order: :top))
    end
  end
end
